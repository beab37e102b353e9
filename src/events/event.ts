import { sql, type Transaction } from "kysely";
import { hasManyWriters } from "../db/core/lock.ts";
import { type Param, prepare } from "../db/core/prepared.ts";
import type { DB, EventRow, UserState } from "../db/core/schema.ts";
import type { Caller } from "../db/core/write.ts";
import type { Clock } from "../lib/clock.ts";
import { userNotFound } from "../lib/user-refusals.ts";

/** An event as it is stored. */
export type Event = EventRow;

/** What can happen to a user. Never rename one: the audit log stores the names. */
export type EventType =
  | "user.created"
  | "user.deactivated"
  | "user.reactivated"
  | "user.locked"
  | "user.unlocked"
  | "user.deleted"
  | "otp_email.added"
  | "otp_email.code_requested"
  | "otp_email.verify_failed"
  | "otp_email.attempts_exhausted"
  | "otp_email.verified"
  | "otp_email.unlocked"
  | "otp_email.removed"
  | "challenge.created"
  | "challenge.failed"
  | "challenge.attempts_exhausted"
  | "challenge.passed"
  | "challenge.cancelled"
  | "challenge.reported"
  | "mail.sent"
  | "mail.failed"
  | "mail.suppressed"
  | "mail.bounced"
  | "mail.complained";

/** The actor of events caused by a link in a mail: the user, or anyone who reads its mails. */
export const mailReader = "urn:countersign:mail-reader";

/** Who requested a change, from where and why. */
export interface Cause {
  /** The subject of the token. */
  readonly actor: string;
  /** The IP address of the client. Undefined: unknown. */
  readonly clientAddress?: string | undefined;
  /** In the caller's own words. */
  readonly reason?: string | undefined;
  /** The call that waits for the change, if there is one (see `writeFor`). */
  readonly caller?: Caller | undefined;
}

export interface NewEvent extends Cause {
  readonly userId: string;
  readonly type: EventType;
  /** Ids and settings. Never a code, a token or an email address, not even masked: the audit log outlives the user. */
  readonly data?: Readonly<Record<string, string | number | boolean>>;
}

/** The user after a change: `details` on the wire. */
export interface Details {
  /** The number of events of the user so far. */
  readonly sequence: number;
  /** The time of the last event, in milliseconds since the epoch. */
  readonly changeTime: number;
  readonly orgId: string;
}

/** A reserved event of a user, and the user at that moment. The user is locked until the transaction ends. */
export interface EventSlot extends Details {
  readonly userId: string;
  readonly state: UserState;
  /** In the audit log of all users. */
  readonly position: number;
  /** The position of the user's previous event. Null: this is the first. */
  readonly previous: number | null;
}

/**
 * Reserves the next event of a user, which locks and reads the user in the same statement. Write it before you reserve another
 * one of that user in the same transaction.
 *
 * @throws NOT_FOUND
 */
export async function reserveEvent(trx: Transaction<DB>, clock: Clock, userId: string): Promise<EventSlot> {
  const changeTime = clock.now();
  const [user] = await countEvent(trx, { changeTime, userId });
  if (!user) throw userNotFound();
  return {
    userId,
    sequence: user.sequence,
    changeTime,
    orgId: user.org_id,
    state: user.state,
    // Set by the same statement.
    position: user.last_event!,
    previous: user.previous_event,
  };
}

/** Writes a reserved event. */
export async function writeEvent(
  trx: Transaction<DB>,
  { userId, sequence, changeTime, orgId, position, previous }: EventSlot,
  event: Omit<NewEvent, "userId">,
): Promise<Details> {
  await insertEvent(trx, {
    position,
    previous,
    org_id: orgId,
    user_id: userId,
    sequence,
    type: event.type,
    time: changeTime,
    actor: event.actor,
    client_address: event.clientAddress ?? null,
    reason: event.reason ?? null,
    data: JSON.stringify(event.data ?? {}),
  });
  return { sequence, changeTime, orgId };
}

/**
 * Appends an event to the audit log, in the transaction of the change.
 *
 * @throws NOT_FOUND
 */
export async function appendEvent(trx: Transaction<DB>, clock: Clock, event: NewEvent): Promise<Details> {
  return writeEvent(trx, await reserveEvent(trx, clock, event.userId), event);
}

const countEvent = prepare((db, param: Param<{ userId: string; changeTime: number }>) =>
  db
    .updateTable("users")
    .set((eb) => ({
      sequence: eb("sequence", "+", 1),
      previous_event: eb.ref("last_event"),
      last_event: hasManyWriters(db) ? manyWritersPosition : singleWriterPosition,
      change_time: param("changeTime"),
    }))
    .where("user_id", "=", param("userId"))
    .returning(["sequence", "last_event", "previous_event", "org_id", "state"]),
);

/** One more than the highest position ever used, as SQLite's AUTOINCREMENT would assign it. */
const singleWriterPosition = sql<number>`coalesce((select seq from sqlite_sequence where name = 'events'), 0) + 1`;

/** Assigns the transaction id first, by which the event feed knows transactions that still run. */
const manyWritersPosition = sql<number>`case when pg_current_xact_id() is not null then nextval('event_positions') end`;

const insertEvent = prepare((db, param: Param<EventRow>) =>
  db.insertInto("events").values({
    position: param("position"),
    previous: param("previous"),
    org_id: param("org_id"),
    user_id: param("user_id"),
    sequence: param("sequence"),
    type: param("type"),
    time: param("time"),
    actor: param("actor"),
    client_address: param("client_address"),
    reason: param("reason"),
    data: param("data"),
  }),
);
