import type { Kysely } from "kysely";
import { isId } from "../../db/core/id.ts";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { DB, LastMailColumns, OTPEmailRow, UserRow } from "../../db/core/schema.ts";
import type { OTPContext } from "../context.ts";
import { failuresLeft } from "../limits/failures.ts";
import { lockLeftMs } from "../limits/lock.ts";
import { type MailStatus, waitingMails } from "../mail-status.ts";
import type { Policy } from "../policy.ts";
import { otpEmailNotFound } from "../refusals.ts";

/** An authenticator as callers see it. Times are milliseconds since the epoch. */
export interface OTPEmail {
  readonly otpEmailId: string;
  readonly userId: string;
  readonly address: string;
  readonly createTime: number;
  readonly verifyTime: number | null;
  readonly lastUseTime: number | null;
  /** How many wrong codes end the live code or lock the authenticator. 0 while it is locked. */
  readonly attemptsLeft: number;
  /** Null: not locked. */
  readonly lockedUntil: number | null;
  /** The last mail to the address. Undefined: none was sent. */
  readonly lastMail: MailStatus | undefined;
}

/** @throws NOT_FOUND */
export async function getOTPEmail(context: OTPContext, user: UserRow, otpEmailId: string): Promise<OTPEmail> {
  const row = await findOTPEmail(context.store.db, user.user_id, otpEmailId);
  if (!row) throw otpEmailNotFound();
  const [otpEmail] = await toOTPEmails(context, [row]);
  if (!otpEmail) throw otpEmailNotFound();
  return otpEmail;
}

/** Lists authenticators of a user, oldest first: at most `limit`, with ids after `after`. */
export async function listOTPEmails(
  context: OTPContext,
  user: UserRow,
  { after = "0", limit }: { after?: string | undefined; limit: number },
): Promise<OTPEmail[]> {
  const rows = await context.store.db
    .selectFrom("otp_emails")
    .selectAll()
    .where("user_id", "=", user.user_id)
    .where("otp_email_id", ">", after)
    .orderBy("otp_email_id")
    .limit(limit)
    .execute();
  return toOTPEmails(context, rows);
}

/** Lists all authenticators of these users, oldest first. Policy bounds their number for each user. */
export async function otpEmailsOf(context: OTPContext, userIds: readonly string[]): Promise<OTPEmail[]> {
  if (userIds.length === 0) return [];
  const rows = await context.store.db
    .selectFrom("otp_emails")
    .selectAll()
    .where("user_id", "in", userIds)
    .orderBy("otp_email_id")
    .execute();
  return toOTPEmails(context, rows);
}

/** Finds an authenticator of a user. Undefined if it belongs to another user, too. */
export async function findOTPEmail(
  db: Kysely<DB>,
  userId: string,
  otpEmailId: string,
): Promise<OTPEmailRow | undefined> {
  if (!isId(otpEmailId)) return undefined;
  const [row] = await selectOTPEmail(db, { userId, otpEmailId });
  return row;
}

const selectOTPEmail = prepare((db, param: Param<{ userId: string; otpEmailId: string }>) =>
  db
    .selectFrom("otp_emails")
    .selectAll()
    .where("otp_email_id", "=", param("otpEmailId"))
    .where("user_id", "=", param("userId")),
);

/** Finds an authenticator of any user. Only for operators: API callers must name the user. */
export async function findOTPEmailById(db: Kysely<DB>, otpEmailId: string): Promise<OTPEmailRow | undefined> {
  if (!isId(otpEmailId)) return undefined;
  return db.selectFrom("otp_emails").selectAll().where("otp_email_id", "=", otpEmailId).executeTakeFirst();
}

async function toOTPEmails(context: OTPContext, rows: readonly OTPEmailRow[]): Promise<OTPEmail[]> {
  const { store, clock, policy } = context;
  const queued = await waitingMails(
    store.db,
    rows.map((row) => row.otp_email_id),
  );
  const now = clock.now();
  return rows.map((row) => {
    const lockedUntil = lockLeftMs(row, now) > 0 ? row.locked_until : null;
    return {
      otpEmailId: row.otp_email_id,
      userId: row.user_id,
      address: row.address,
      createTime: row.create_time,
      verifyTime: row.verify_time,
      lastUseTime: row.last_use_time,
      attemptsLeft: lockedUntil === null ? attemptsLeft(policy, now, row) : 0,
      lockedUntil,
      lastMail: queued.get(row.otp_email_id) ?? settledMail(row),
    };
  });
}

/** The smaller of what the code and the authenticator allow. A code without attempts left will be replaced by a fresh one. */
function attemptsLeft({ enrolment, attempts }: Policy, now: number, row: OTPEmailRow): number {
  const { attemptsMax } = enrolment;
  const ofCode = row.attempts >= attemptsMax ? attemptsMax : attemptsMax - row.attempts;
  return Math.min(ofCode, failuresLeft(attempts, now, row));
}

/** Returns the last mail that was settled. Undefined: none was. */
export function settledMail(row: LastMailColumns): MailStatus | undefined {
  if (row.mail_state === null || row.mail_create_time === null) return undefined;
  return {
    state: row.mail_state,
    createTime: row.mail_create_time,
    settleTime: row.mail_settle_time,
    reason: row.mail_reason,
  };
}
