import type { Kysely } from "kysely";
import { isId } from "../../db/core/id.ts";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { DB, LastMailColumns, OTPEmailRow, UserRow } from "../../db/core/schema.ts";
import type { OTPContext } from "../context.ts";
import { failuresLeft } from "../limits/failures.ts";
import { type MailStatus, waitingMails } from "../mail-status.ts";
import type { Policy } from "../policy.ts";
import { otpEmailNotFound } from "../refusals.ts";

/** An authenticator as it is told of. Times are milliseconds since the epoch. */
export interface OTPEmail {
  readonly otpEmailId: string;
  readonly userId: string;
  readonly address: string;
  readonly createTime: number;
  readonly verifyTime: number | null;
  readonly lastUseTime: number | null;
  /** How many wrong codes there may still be before it is locked. None while it is. */
  readonly attemptsLeft: number;
  /** Null: not locked. */
  readonly lockedUntil: number | null;
  /** What came of the last mail to the address, if there was one. */
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

/** The authenticators of a user, oldest first: `most` of them, beginning behind the id `after`. */
export async function listOTPEmails(
  context: OTPContext,
  user: UserRow,
  { after = "0", most }: { after?: string | undefined; most: number },
): Promise<OTPEmail[]> {
  const rows = await context.store.db
    .selectFrom("otp_emails")
    .selectAll()
    .where("user_id", "=", user.user_id)
    .where("otp_email_id", ">", after)
    .orderBy("otp_email_id")
    .limit(most)
    .execute();
  return toOTPEmails(context, rows);
}

/** All authenticators of some users, oldest first. A user has a bounded number of them. */
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

/** Whosever it is: for an operator, not for a caller. */
export async function findOTPEmailById(db: Kysely<DB>, otpEmailId: string): Promise<OTPEmailRow | undefined> {
  if (!isId(otpEmailId)) return undefined;
  return db.selectFrom("otp_emails").selectAll().where("otp_email_id", "=", otpEmailId).executeTakeFirst();
}

async function toOTPEmails(context: OTPContext, rows: readonly OTPEmailRow[]): Promise<OTPEmail[]> {
  const { store, clock, policy } = context;
  const waiting = await waitingMails(
    store.db,
    rows.map((row) => row.otp_email_id),
  );
  const now = clock.now();
  return rows.map((row) => {
    const lockedUntil = row.locked_until !== null && row.locked_until > now ? row.locked_until : null;
    return {
      otpEmailId: row.otp_email_id,
      userId: row.user_id,
      address: row.address,
      createTime: row.create_time,
      verifyTime: row.verify_time,
      lastUseTime: row.last_use_time,
      attemptsLeft: lockedUntil === null ? attemptsLeft(policy, now, row) : 0,
      lockedUntil,
      lastMail: waiting.get(row.otp_email_id) ?? settledMail(row),
    };
  });
}

/** At the code, of which the next one brings new attempts, and at the authenticator, to which it does not. */
function attemptsLeft({ enrolment, attempts }: Policy, now: number, row: OTPEmailRow): number {
  const atCode =
    row.attempts >= enrolment.attemptsMax ? enrolment.attemptsMax : enrolment.attemptsMax - row.attempts;
  return Math.min(atCode, failuresLeft(attempts, now, row));
}

export function settledMail(row: LastMailColumns): MailStatus | undefined {
  if (row.mail_state === null || row.mail_create_time === null) return undefined;
  return {
    state: row.mail_state,
    createTime: row.mail_create_time,
    settleTime: row.mail_settle_time,
    reason: row.mail_reason,
  };
}
