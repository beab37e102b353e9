import type { Transaction } from "kysely";
import type { DB, OutboxRow } from "../../db/core/schema.ts";

/**
 * Queues a failed mail again, due at once and with the same Message-ID.
 *
 * @returns false, without any change, if the mail has expired or is no longer failed, or if another mail with the same code
 *   is queued.
 */
export async function requeue(trx: Transaction<DB>, now: number, mail: OutboxRow): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable("outbox")
    .set({
      state: "queued",
      attempts: 0,
      next_attempt_time: now,
      settle_time: null,
      reason: null,
      bounce_time: null,
    })
    .where("mail_id", "=", mail.mail_id)
    .where("state", "=", "failed")
    .where("expire_time", ">", now)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom("outbox as other")
            .select("other.mail_id")
            .where("other.otp_email_id", "=", mail.otp_email_id)
            .where("other.purpose", "=", mail.purpose)
            .where("other.code_salt", "=", mail.code_salt)
            .where("other.state", "=", "queued")
            // Notices have no code: an empty salt is not the same code.
            .where("other.code_salt", "!=", new Uint8Array()),
        ),
      ),
    )
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}
