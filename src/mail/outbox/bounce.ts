import type { Transaction } from "kysely";
import type { DB, OutboxRow } from "../../db/core/schema.ts";
import { noLease } from "./lease.ts";

/**
 * Records the first bounce or complaint about a mail. With `bounceReason` the mail has failed: if it was still waiting, since
 * the relay's answer was lost, it is not sent again.
 *
 * @returns the changed mail, or undefined if a bounce or complaint was recorded before.
 */
export function markBounced(
  trx: Transaction<DB>,
  now: number,
  mailId: string,
  bounceReason: string | undefined,
): Promise<OutboxRow | undefined> {
  const failed = bounceReason !== undefined && {
    state: "failed" as const,
    reason: bounceReason,
    settle_time: now,
    ...noLease,
  };
  return trx
    .updateTable("outbox")
    .set({ bounce_time: now, ...failed })
    .where("mail_id", "=", mailId)
    .where("bounce_time", "is", null)
    .returningAll()
    .executeTakeFirst();
}

/**
 * Records that a sent mail is delayed.
 *
 * @returns the changed mail, or undefined if it is not sent, or has bounced since.
 */
export function markDelayed(
  trx: Transaction<DB>,
  mailId: string,
  reason: string,
): Promise<OutboxRow | undefined> {
  return trx
    .updateTable("outbox")
    .set({ reason })
    .where("mail_id", "=", mailId)
    .where("state", "=", "sent")
    .where("bounce_time", "is", null)
    .returningAll()
    .executeTakeFirst();
}
