import type { Kysely, Transaction } from "kysely";
import { type Param, prepare } from "../db/core/prepared.ts";
import type { DB, OTPEmailRow, OutboxRow } from "../db/core/schema.ts";

/** Delivery status of a mail, as callers see it. Times are milliseconds since the epoch. */
export interface MailStatus {
  /** `deferred`: the first attempt failed and there will be another. `suppressed`: the mail was no longer wanted. */
  readonly state: "queued" | "deferred" | FinalStatus;
  readonly createTime: number;
  /** Null while the mail is waiting. */
  readonly settleTime: number | null;
  /** Why it is not sent (yet): reply code and enhanced status, never the server's own text. */
  readonly reason: string | null;
}

export type FinalStatus = NonNullable<OTPEmailRow["mail_state"]>;

/**
 * Reads the waiting mails, by authenticator: the newest of each, unless a newer one was settled before it.
 */
export async function waitingMails(
  db: Kysely<DB>,
  otpEmailIds: readonly string[],
): Promise<ReadonlyMap<string, MailStatus>> {
  if (otpEmailIds.length === 0) return new Map();
  const rows = await db
    .selectFrom("outbox")
    .innerJoin("otp_emails", "otp_emails.otp_email_id", "outbox.otp_email_id")
    .select(["outbox.otp_email_id", "outbox.create_time", "outbox.reason"])
    .where("outbox.otp_email_id", "in", otpEmailIds)
    .where("outbox.state", "=", "queued")
    .where((eb) =>
      eb.or([eb("otp_emails.mail_id", "is", null), eb("outbox.mail_id", ">", eb.ref("otp_emails.mail_id"))]),
    )
    .orderBy("outbox.mail_id")
    .execute();
  return new Map(rows.map((row) => [row.otp_email_id, waitingStatus(row)]));
}

/** Reads the status of the mail with a code. Undefined if none is waiting. */
export async function waitingMail(
  db: Kysely<DB>,
  otpEmailId: string,
  codeSalt: Uint8Array,
): Promise<MailStatus | undefined> {
  const row = await db
    .selectFrom("outbox")
    .select(["create_time", "reason"])
    .where("otp_email_id", "=", otpEmailId)
    .where("code_salt", "=", codeSalt)
    .where("state", "=", "queued")
    .executeTakeFirst();
  return row && waitingStatus(row);
}

function waitingStatus({ create_time, reason }: Pick<OutboxRow, "create_time" | "reason">): MailStatus {
  return {
    state: reason === null ? "queued" : "deferred",
    createTime: create_time,
    settleTime: null,
    reason,
  };
}

/**
 * Saves the final status of a mail with its challenge, and with its authenticator unless a newer mail was settled before.
 * Does nothing for a mail that is still queued.
 */
export async function saveMailStatus(trx: Transaction<DB>, mail: OutboxRow): Promise<void> {
  const status = finalStatus(mail);
  if (status === undefined) return;
  const saved = { ...mail, final_status: status };
  if (mail.purpose === "login") await saveWithChallenge(trx, saved);
  await saveWithOTPEmail(trx, saved);
}

type SavedMail = OutboxRow & { readonly final_status: FinalStatus };

const saveWithChallenge = prepare((db, param: Param<SavedMail>) =>
  db
    .updateTable("challenges")
    .set(statusColumns(param))
    .where("otp_email_id", "=", param("otp_email_id"))
    .where("code_salt", "=", param("code_salt")),
);

const saveWithOTPEmail = prepare((db, param: Param<SavedMail>) =>
  db
    .updateTable("otp_emails")
    .set(statusColumns(param))
    .where("otp_email_id", "=", param("otp_email_id"))
    .where((eb) => eb.or([eb("mail_id", "is", null), eb("mail_id", "<=", param("mail_id"))])),
);

function statusColumns(param: Param<SavedMail>) {
  return {
    mail_id: param("mail_id"),
    mail_state: param("final_status"),
    mail_create_time: param("create_time"),
    mail_settle_time: param("settle_time"),
    mail_reason: param("reason"),
  };
}

/** Returns undefined for a mail that is still queued. */
export function finalStatus({ state, reason }: OutboxRow): FinalStatus | undefined {
  if (state === "queued") return undefined;
  if (state !== "dropped") return state;
  // Its code expired while it was waiting: that is a failure, not a decision.
  return reason === "expired" ? "failed" : "suppressed";
}
