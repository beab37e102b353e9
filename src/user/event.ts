import type { Transaction } from "kysely";
import type { Clock } from "../clock.ts";
import type { DB } from "../db/schema.ts";

/** What can happen to a user. Names are kept for ever: they are in the trail. */
export type EventType =
  | "user.created"
  | "otp_email.added"
  | "otp_email.code_requested"
  | "otp_email.verify_failed"
  | "otp_email.attempts_exhausted"
  | "otp_email.verified";

export interface NewEvent {
  readonly userId: string;
  readonly type: EventType;
  /** The subject of the token that asked for it. */
  readonly actor: string;
  /** Ids and settings. Never a code, a token or an address. */
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

/** Appends to the trail of an existing user and counts it, in the transaction of the change it tells of. */
export async function appendEvent(trx: Transaction<DB>, clock: Clock, event: NewEvent): Promise<Details> {
  const time = clock.now();
  const user = await trx
    .updateTable("users")
    .set((eb) => ({ sequence: eb("sequence", "+", 1), change_time: time }))
    .where("user_id", "=", event.userId)
    .returning(["sequence", "org_id"])
    .executeTakeFirstOrThrow();
  await trx
    .insertInto("events")
    .values({
      user_id: event.userId,
      sequence: user.sequence,
      type: event.type,
      time,
      actor: event.actor,
      data: JSON.stringify(event.data ?? {}),
    })
    .execute();
  return { sequence: user.sequence, changeTime: time, orgId: user.org_id };
}
