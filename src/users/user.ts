import { type Expression, expressionBuilder, type Kysely, type Transaction } from "kysely";
import { makeId } from "../db/core/id.ts";
import { once, type Repeatable } from "../db/core/idempotency.ts";
import { type Param, prepare } from "../db/core/prepared.ts";
import type { DB, UserRow } from "../db/core/schema.ts";
import type { Store } from "../db/store.ts";
import { appendEvent, type Cause, type Details } from "../events/event.ts";
import type { Clock } from "../lib/clock.ts";
import { Refusal } from "../lib/refusal.ts";
import { userNotFound } from "../lib/user-refusals.ts";

/** A user as it is stored. */
export type User = UserRow;

export interface NewUser extends Cause, Repeatable {
  /** Generated if not given. */
  readonly userId?: string | undefined;
  readonly orgId: string;
  readonly preferredLanguage?: string | undefined;
  readonly displayName?: string | undefined;
}

/**
 * Creates an active user.
 *
 * @throws ALREADY_EXISTS (the id is taken, in any organization), FAILED_PRECONDITION (idempotency key reused).
 */
export async function createUser(
  store: Store,
  clock: Clock,
  user: NewUser,
): Promise<{ userId: string; details: Details }> {
  const { reply } = await store.writeFor(user.caller, (trx) =>
    once(trx, clock, user.idempotencyKey, async () => ({
      reply: await insertUser(trx, clock, user),
      made: undefined,
    })),
  );
  return reply;
}

async function insertUser(
  trx: Transaction<DB>,
  clock: Clock,
  user: NewUser,
): Promise<{ userId: string; details: Details }> {
  const now = clock.now();
  const userId = user.userId ?? makeId(now);
  const [created] = await insertUnlessTaken(trx, {
    userId,
    orgId: user.orgId,
    preferredLanguage: user.preferredLanguage ?? null,
    displayName: user.displayName ?? null,
    now,
  });
  if (!created) {
    throw new Refusal(
      "USER_ALREADY_EXISTS",
      "the user_id is taken: choose another, or leave it out and one is made",
    );
  }
  const details = await appendEvent(trx, clock, { ...user, userId, type: "user.created" });
  return { userId, details };
}

interface InsertedUser {
  readonly userId: string;
  readonly orgId: string;
  readonly preferredLanguage: string | null;
  readonly displayName: string | null;
  readonly now: number;
}

const insertUnlessTaken = prepare((db, param: Param<InsertedUser>) =>
  db
    .insertInto("users")
    .values({
      user_id: param("userId"),
      org_id: param("orgId"),
      state: "active",
      preferred_language: param("preferredLanguage"),
      display_name: param("displayName"),
      // The events of a deleted user stay. A new user of the same id and organization continues its sequence.
      sequence: (eb) =>
        eb
          .selectFrom("ended_trails")
          .select((end) => end.fn.coalesce(end.fn.max("sequence"), end.val(0)).as("sequence"))
          .where("org_id", "=", param("orgId"))
          .where("user_id", "=", param("userId")),
      last_event: (eb) =>
        eb
          .selectFrom("ended_trails")
          .select("last_event")
          .where("org_id", "=", param("orgId"))
          .where("user_id", "=", param("userId")),
      create_time: param("now"),
      change_time: param("now"),
    })
    .onConflict((conflict) => conflict.column("user_id").doNothing())
    .returning("user_id"),
);

const userColumns = [
  "user_id",
  "org_id",
  "state",
  "preferred_language",
  "display_name",
  "sequence",
  "last_event",
  "create_time",
  "change_time",
] as const satisfies readonly (keyof UserRow)[];

export async function findUser(db: Kysely<DB>, userId: string): Promise<UserRow | undefined> {
  const [user] = await selectUser(db, { userId });
  return user;
}

/**
 * The same in constant time, for callers that must not learn whether the user exists: reads one row in either case. Reading
 * none is measurably faster (docs/performance.md).
 */
export async function findUserConstantTime(db: Kysely<DB>, userId: string): Promise<UserRow | undefined> {
  const [nearest] = await selectNearestUser(db, { userId });
  return nearest?.user_id === userId ? nearest : undefined;
}

/**
 * Returns the user if it exists and is active.
 *
 * @throws NOT_FOUND, FAILED_PRECONDITION (user not active).
 */
export function requireActive<U extends Pick<UserRow, "state">>(user: U | undefined): U {
  if (!user) throw userNotFound();
  if (user.state !== "active") {
    const remedy = user.state === "locked" ? "unlock" : "reactivate";
    throw new Refusal("USER_NOT_ACTIVE", `the user is ${user.state}: ${remedy} it first`);
  }
  return user;
}

/** The condition that a user exists and is active, for a statement on something of that user. */
export function isActive(userId: Expression<string>) {
  const { exists, selectFrom } = expressionBuilder<DB>();
  return exists(
    selectFrom("users").select("user_id").where("user_id", "=", userId).where("state", "=", "active"),
  );
}

/** The details of a user that has not changed. */
export function detailsOf(user: UserRow): Details {
  return { sequence: user.sequence, changeTime: user.change_time, orgId: user.org_id };
}

const selectUser = prepare((db, param: Param<{ userId: string }>) =>
  db.selectFrom("users").select(userColumns).where("user_id", "=", param("userId")),
);

/** Finds the user, or the one with the next id, or the first of all, so that one row is read in any case. */
const selectNearestUser = prepare((db, param: Param<{ userId: string }>) =>
  db
    .selectFrom("users")
    .select(userColumns)
    .where("user_id", "=", ({ fn, selectFrom }) => {
      const first = selectFrom("users").select("user_id").orderBy("user_id").limit(1);
      return fn.coalesce(first.where("user_id", ">=", param("userId")), first);
    }),
);
