import { sql, type Transaction } from "kysely";
import { hasManyWriters } from "../db/core/lock.ts";
import { type Param, prepare } from "../db/core/prepared.ts";
import type { DB, EventRow, UserState } from "../db/core/schema.ts";
import type { Caller } from "../db/core/write.ts";
import type { Clock } from "../lib/clock.ts";
import { userNotFound } from "../lib/user-refusals.ts";

/** An event as it is stored. */
export type Event = EventRow;

/** What can happen to a user. Names are kept for ever: they are in the trail. */
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

/** Who stands in the trail for whoever has the link of a mail. It is the user, if nobody else reads its mails. */
export const mailReader = "urn:countersign:mail-reader";

/** Who asked for a change, from where and why. */
export interface Cause {
  /** The subject of the token. */
  readonly actor: string;
  /** The IP address of the client, where it is known. */
  readonly clientAddress?: string | undefined;
  /** In the words of the caller. */
  readonly reason?: string | undefined;
  /** Who waits for the change, if anybody does. */
  readonly caller?: Caller | undefined;
}

export interface NewEvent extends Cause {
  readonly userId: string;
  readonly type: EventType;
  /** Ids and settings. Never a code, a token or an email address, not even masked: the trail outlives the user. */
  readonly data?: Readonly<Record<string, string | number | boolean>>;
}

/** What a reply says about the user: `details` on the wire. */
export interface Details {
  /** The number of events of the user. */
  readonly sequence: number;
  /** The time of the last one. */
  readonly changeTime: number;
  readonly orgId: string;
}

/** The next place in the trail of a user, and who the user is then. Nobody else changes the user until the transaction ends. */
export interface EventSlot extends Details {
  readonly userId: string;
  readonly state: UserState;
  /** In the trail of all users, and that of the user's event before it. */
  readonly position: number;
  readonly previous: number | null;
}

/**
 * Takes the next place in the trail of a user, before it is known what will stand there. It is written to before another is
 * taken in the same transaction.
 *
 * @throws NOT_FOUND if the user is not there (any more).
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
    // It has just been given one.
    position: user.last_event!,
    previous: user.previous_event,
  };
}

/** Writes what happened to its place. */
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
 * Appends to the trail of a user and counts it, in the transaction of the change it tells of.
 *
 * @throws NOT_FOUND if the user was deleted meanwhile.
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
      last_event: hasManyWriters(db) ? positionOfMany : positionOfOne,
      change_time: param("changeTime"),
    }))
    .where("user_id", "=", param("userId"))
    .returning(["sequence", "last_event", "previous_event", "org_id", "state"]),
);

/** Behind the last that was ever given, as the primary key gives it itself. */
const positionOfOne = sql<number>`coalesce((select seq from sqlite_sequence where name = 'events'), 0) + 1`;

/** Not before the transaction has its number: the feed takes what older transactions wrote for all there will be up to it. */
const positionOfMany = sql<number>`case when pg_current_xact_id() is not null then nextval('event_positions') end`;

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
