import type { Transaction } from "kysely";
import { type DB, openChallengeStates, type UserRow, type UserState } from "../db/core/schema.ts";
import type { Store } from "../db/store.ts";
import { appendEvent, type Cause, type Details, type EventType } from "../events/event.ts";
import type { Clock } from "../lib/clock.ts";
import { type Reason, Refusal } from "../lib/refusal.ts";
import { userNotFound } from "../lib/user-refusals.ts";
import { findUser } from "./user.ts";

/** The transitions between user states, named as their calls. */
export type Transition = keyof typeof transitions;

interface TransitionRule {
  readonly from: readonly UserState[];
  readonly to: UserState;
  readonly type: EventType;
  /** Why a user in another state is refused (AIP-216). */
  readonly reason: Reason;
}

/** A locked user can be deactivated without becoming active in between. */
const transitions = {
  deactivate: {
    from: ["active", "locked"],
    to: "inactive",
    type: "user.deactivated",
    reason: "USER_NOT_ACTIVE",
  },
  reactivate: { from: ["inactive"], to: "active", type: "user.reactivated", reason: "USER_NOT_INACTIVE" },
  lock: { from: ["active"], to: "locked", type: "user.locked", reason: "USER_NOT_ACTIVE" },
  unlock: { from: ["locked"], to: "active", type: "user.unlocked", reason: "USER_NOT_LOCKED" },
} satisfies Record<string, TransitionRule>;

/**
 * Moves a user to another state. Of any number of simultaneous calls, one succeeds. Queued mails stay: the courier checks the
 * state when it sends them.
 *
 * @throws NOT_FOUND, FAILED_PRECONDITION (no transition from the current state).
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

/** Reactivating a user must not revive its old challenges. */
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
  const { from, reason }: TransitionRule = transitions[transition];
  return new Refusal(
    reason,
    `the user is ${user.state}: to ${transition} it, it must be ${from.join(" or ")}`,
  );
}
