import type { Transaction } from "kysely";
import { type DB, openChallengeStates, type UserRow, type UserState } from "../db/core/schema.ts";
import type { Store } from "../db/store.ts";
import { appendEvent, type Cause, type Details, type EventType } from "../events/event.ts";
import type { Clock } from "../lib/clock.ts";
import { Refusal } from "../lib/refusal.ts";
import { userNotFound } from "../lib/user-refusals.ts";
import { findUser } from "./user.ts";

/** A change of state, by the name of its call. */
export type Transition = keyof typeof transitions;

interface TransitionRule {
  readonly from: readonly UserState[];
  readonly to: UserState;
  readonly type: EventType;
}

/** From any other state a call is refused (AIP-216). A locked user can be deactivated without being active in between. */
const transitions = {
  deactivate: { from: ["active", "locked"], to: "inactive", type: "user.deactivated" },
  reactivate: { from: ["inactive"], to: "active", type: "user.reactivated" },
  lock: { from: ["active"], to: "locked", type: "user.locked" },
  unlock: { from: ["locked"], to: "active", type: "user.unlocked" },
} satisfies Record<string, TransitionRule>;

/**
 * Moves a user to another state. Of any number of simultaneous calls one does it. Mails that wait are not removed: the
 * courier looks at the state as it hands one over.
 *
 * @throws NOT_FOUND, FAILED_PRECONDITION (not a state to come from).
 */
export async function changeState(
  store: Store,
  clock: Clock,
  transition: Transition,
  { user, ...cause }: Cause & { readonly user: UserRow },
): Promise<Details> {
  const { from, to, type }: TransitionRule = transitions[transition];
  return store.writeFor(cause.caller, async (trx) => {
    const changed = await trx
      .updateTable("users")
      .set({ state: to })
      .where("user_id", "=", user.user_id)
      .where("org_id", "=", user.org_id)
      .where("state", "in", from)
      .returning("user_id")
      .executeTakeFirst();
    if (!changed) throw refusal(transition, await findUser(trx, user.user_id));
    if (to !== "active") await cancelChallenges(trx, user.user_id);
    return appendEvent(trx, clock, { ...cause, userId: user.user_id, type });
  });
}

/** A user that is active again must not find a challenge of the time before. */
async function cancelChallenges(trx: Transaction<DB>, userId: string): Promise<void> {
  await trx
    .updateTable("challenges")
    .set({ state: "cancelled" })
    .where("otp_email_id", "in", (eb) =>
      eb.selectFrom("otp_emails").select("otp_email_id").where("user_id", "=", userId),
    )
    .where("state", "in", openChallengeStates)
    .execute();
}

function refusal(transition: Transition, user: UserRow | undefined): Error {
  if (!user) return userNotFound();
  switch (transition) {
    case "reactivate":
      return new Refusal(
        "USER_NOT_INACTIVE",
        `the user is ${user.state}: only an inactive one is reactivated`,
      );
    case "unlock":
      return new Refusal("USER_NOT_LOCKED", `the user is ${user.state}: only a locked one is unlocked`);
    default:
      return new Refusal(
        "USER_NOT_ACTIVE",
        `the user is ${user.state}: look at its state before ${transition}`,
      );
  }
}
