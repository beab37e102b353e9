import { type ExpressionBuilder, sql } from "kysely";
import { isId } from "../db/id.ts";
import type { DB, UserRow } from "../db/schema.ts";
import { failedPrecondition, invalidArgument } from "../errors.ts";
import { appendEvent, type Cause, type Details } from "../user/event.ts";
import { findUser, requireActive } from "../user/user.ts";
import { codesEqual, normalizeCode } from "./code.ts";
import type { OTPContext } from "./context.ts";
import { enrolmentCode, type LiveCode } from "./live-code.ts";
import { noFailures } from "./otp-email.ts";
import { noCode } from "./pending-code.ts";
import type { Policy } from "./policy.ts";
import { attemptsExhausted, otpEmailNotFound } from "./refusals.ts";

export interface VerifyOTPEmail extends Cause {
  readonly otpEmailId: string;
  /** As `parseEnrolmentCode` returned it. */
  readonly code: string;
}

/**
 * What the user typed, normalised. It needs no database.
 *
 * @throws INVALID_ARGUMENT if it cannot be a code.
 */
export function parseEnrolmentCode(policy: Policy, typed: string): string {
  const { format } = policy.enrolment;
  const code = normalizeCode(typed, format);
  if (code !== undefined) return code;
  throw invalidArgument(
    "CODE_INVALID",
    "code",
    `code must be the ${format.length} ${format.alphabet === "digits" ? "digits" : "letters and digits"} of the mail`,
  );
}

/**
 * Verifies an address with its code, in three steps of which only one of any number of simultaneous calls wins.
 *
 * @throws INVALID_ARGUMENT (wrong code), FAILED_PRECONDITION (used, expired, user not active), NOT_FOUND,
 *   RESOURCE_EXHAUSTED (too many wrong codes).
 */
export async function verifyOTPEmail(
  context: OTPContext,
  user: UserRow,
  input: VerifyOTPEmail,
): Promise<Details> {
  requireActive(user);
  if (!isId(input.otpEmailId)) throw otpEmailNotFound();

  const attempt = await countAttempt(context, user.user_id, input.otpEmailId);
  if (!attempt) throw await refusal(context, user.user_id, input.otpEmailId);

  const key = context.keys.get(attempt.code_key_id);
  // The key was retired while the code lived: it cannot be checked any more, and counts as expired.
  if (!key) throw codeExpired();
  const code = { secret: key.secret, salt: attempt.code_salt };
  if (!codesEqual(enrolmentCode(context, user.org_id, attempt, code), input.code)) {
    await recordFailure(context, user.user_id, input, attempt.attempts);
    throw invalidArgument("CODE_INVALID", "code", "this is not the code of the mail: check it and try again");
  }
  return useCode(context, user.user_id, input, code.salt);
}

/**
 * Step 1. Counted first and committed alone: no failure later in the call refunds an attempt. The last attempt locks
 * the authenticator in the same statement, and only a right code unlocks it again.
 */
async function countAttempt(context: OTPContext, userId: string, otpEmailId: string) {
  const { policy } = context;
  const { attemptsMax } = policy.enrolment;
  const now = context.clock.now();
  // Beyond 30 doublings of a second the lock is longer than any that can be set; the shift stays in range.
  const lockedUntil = sql<number>`${now} + case
    when lock_count >= 30 or ${policy.lockMsMin} * (1 << lock_count) > ${policy.lockMsMax} then ${policy.lockMsMax}
    else ${policy.lockMsMin} * (1 << lock_count) end`;
  const counted = await context.store.write((trx) =>
    trx
      .updateTable("otp_emails")
      .set((eb) => ({
        attempts: eb("attempts", "+", 1),
        locked_until: eb
          .case()
          .when("attempts", ">=", attemptsMax - 1)
          .then(lockedUntil)
          .else(eb.ref("locked_until"))
          .end(),
        lock_count: eb
          .case()
          .when("attempts", ">=", attemptsMax - 1)
          .then(eb("lock_count", "+", 1))
          .else(eb.ref("lock_count"))
          .end(),
      }))
      .where("otp_email_id", "=", otpEmailId)
      .where("user_id", "=", userId)
      .where("verify_time", "is", null)
      .where("code_salt", "is not", null)
      .where("code_expire_time", ">", now)
      .where("attempts", "<", attemptsMax)
      .where((eb) => eb.or([eb("locked_until", "is", null), eb("locked_until", "<=", now)]))
      .where(isActive(userId))
      .returning(["otp_email_id", "user_id", "address", "attempts", "code_key_id", "code_salt"])
      .executeTakeFirst(),
  );
  if (counted?.code_key_id == null || counted.code_salt === null) return undefined;
  return { ...counted, code_key_id: counted.code_key_id, code_salt: counted.code_salt };
}

/** Step 3. The code is used if it is still the one that was compared, and once. */
async function useCode(
  context: OTPContext,
  userId: string,
  input: VerifyOTPEmail,
  salt: LiveCode["salt"],
): Promise<Details> {
  const now = context.clock.now();
  const details = await context.store.write(async (trx) => {
    const used = await trx
      .updateTable("otp_emails")
      .set({
        verify_time: now,
        last_use_time: now,
        ...noCode,
        ...noFailures,
        change_time: now,
      })
      .where("otp_email_id", "=", input.otpEmailId)
      .where("verify_time", "is", null)
      .where("code_salt", "=", salt)
      .where(isActive(userId))
      .returning("otp_email_id")
      .executeTakeFirst();
    if (!used) return undefined;
    const data = { otp_email_id: input.otpEmailId, verification: "code" };
    return appendEvent(trx, context.clock, { ...input, userId, type: "otp_email.verified", data });
  });
  if (!details) throw await refusal(context, userId, input.otpEmailId);
  return details;
}

function isActive(userId: string) {
  return ({ exists, selectFrom }: ExpressionBuilder<DB, "otp_emails">) =>
    exists(selectFrom("users").select("user_id").where("user_id", "=", userId).where("state", "=", "active"));
}

/** The trail tells of each wrong code, and once that the last attempt was spent. */
async function recordFailure(
  context: OTPContext,
  userId: string,
  input: VerifyOTPEmail,
  attempts: number,
): Promise<void> {
  const event = { ...input, userId, data: { otp_email_id: input.otpEmailId, attempts } };
  await context.store.write(async (trx) => {
    await appendEvent(trx, context.clock, { ...event, type: "otp_email.verify_failed" });
    if (attempts < context.policy.enrolment.attemptsMax) return;
    await appendEvent(trx, context.clock, { ...event, type: "otp_email.attempts_exhausted" });
  });
}

/** Why no attempt was counted, or a right code was not accepted. */
async function refusal(context: OTPContext, userId: string, otpEmailId: string): Promise<Error> {
  const now = context.clock.now();
  const { db } = context.store;
  requireActive(await findUser(db, userId));
  const row = await db
    .selectFrom("otp_emails")
    .select(["verify_time", "locked_until", "code_salt", "code_expire_time"])
    .where("otp_email_id", "=", otpEmailId)
    .where("user_id", "=", userId)
    .executeTakeFirst();
  if (!row) return otpEmailNotFound();
  if (row.verify_time !== null) return codeUsed();
  if (row.locked_until !== null && row.locked_until > now) return attemptsExhausted(row.locked_until - now);
  if (row.code_salt !== null && row.code_expire_time !== null && row.code_expire_time <= now) {
    await endCode(context, otpEmailId, row.code_salt);
  }
  return codeExpired();
}

/** Expiry is recorded: a clock that is set back does not bring the code back to life. */
async function endCode(context: OTPContext, otpEmailId: string, salt: Uint8Array): Promise<void> {
  await context.store.write((trx) =>
    trx
      .updateTable("otp_emails")
      .set(noCode)
      .where("otp_email_id", "=", otpEmailId)
      .where("code_salt", "=", salt)
      .execute(),
  );
}

function codeUsed() {
  return failedPrecondition(
    "CODE_USED",
    "the address is verified, and its code was used: nothing is left to do",
  );
}

function codeExpired() {
  return failedPrecondition(
    "CODE_EXPIRED",
    "the code is no longer valid: add the address again for a new one",
  );
}
