import type { Kysely } from "kysely";
import type { DB, MailState } from "../../db/core/schema.ts";

/** A mail as operators see it, without its code and the salt. Times are milliseconds since the epoch. */
export interface ListedMail {
  readonly mailId: string;
  readonly purpose: string;
  readonly state: MailState;
  readonly address: string;
  readonly orgId: string;
  readonly userId: string;
  readonly otpEmailId: string;
  readonly attempts: number;
  readonly reason: string | null;
  readonly createTime: number;
  readonly settleTime: number | null;
  readonly expireTime: number;
}

export interface ListMails {
  readonly state: MailState | undefined;
  readonly orgId: string | undefined;
  /** Only mails with smaller ids. */
  readonly before: string | undefined;
  readonly limit: number;
}

/** Lists the mails of the outbox, latest first. */
export async function listMails(
  db: Kysely<DB>,
  { state, orgId, before, limit }: ListMails,
): Promise<ListedMail[]> {
  let query = db
    .selectFrom("outbox")
    .innerJoin("otp_emails", "otp_emails.otp_email_id", "outbox.otp_email_id")
    .innerJoin("users", "users.user_id", "outbox.user_id")
    .select([
      "outbox.mail_id",
      "purpose",
      "outbox.state",
      "address",
      "org_id",
      "outbox.user_id",
      "outbox.otp_email_id",
      "outbox.attempts",
      "reason",
      "outbox.create_time",
      "settle_time",
      "outbox.expire_time",
    ])
    .orderBy("outbox.mail_id", "desc")
    .limit(limit);
  if (state !== undefined) query = query.where("outbox.state", "=", state);
  if (orgId !== undefined) query = query.where("org_id", "=", orgId);
  if (before !== undefined) query = query.where("outbox.mail_id", "<", before);
  const rows = await query.execute();
  return rows.map((row) => ({
    mailId: row.mail_id,
    purpose: row.purpose,
    state: row.state,
    address: row.address,
    orgId: row.org_id,
    userId: row.user_id,
    otpEmailId: row.otp_email_id,
    attempts: row.attempts,
    reason: row.reason,
    createTime: row.create_time,
    settleTime: row.settle_time,
    expireTime: row.expire_time,
  }));
}
