import { type Expression, expressionBuilder } from "kysely";
import { isId } from "../db/id.ts";
import { lockUser } from "../db/lock.ts";
import { type Param, prepare } from "../db/prepared.ts";
import type { DB, OTPEmailRow, UserRow } from "../db/schema.ts";
import { failedPrecondition, invalidArgument } from "../errors.ts";
import { appendEvent, type Cause, type Details } from "../user/event.ts";
import { findUser, requireActive } from "../user/user.ts";
import { codesEqual, normalizeCode } from "./code.ts";
import type { OTPContext } from "./context.ts";
import { noFailures, setFailures, withFailure } from "./failures.ts";
import { enrolmentCode, isOver, type LiveCode } from "./live-code.ts";
import { mailWaitMs } from "./mail-limits.ts";
import { enqueueNotices } from "./notices.ts";
import { noCode } from "./pending-code.ts";
import { type CodePolicy, lifeLeftMsMax } from "./policy.ts";
import { findOTPEmail } from "./read-otp-email.ts";
import { attemptsExhausted, codeSpent, otpEmailNotFound } from "./refusals.ts";

export interface VerifyOTPEmail extends Cause {
  readonly otpEmailId: string;
  /** As `parseCode` returned it. */
  readonly code: string;
}

/**
 * What the user typed, normalised. It needs no database.
 *
 * @throws INVALID_ARGUMENT if it cannot be a code.
 */
export function parseCode({ format }: CodePolicy, typed: string): string {
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

  const attempt = await countAttempt(context, user.user_id, input);
  if (!attempt) throw await refusal(context, user.user_id, input);

  const key = context.keys.get(attempt.code_key_id);
  // The key was retired while the code lived: it cannot be checked any more, and counts as expired.
  if (!key) throw codeExpired();
  const code = { secret: key.secret, salt: attempt.code_salt };
  if (!codesEqual(enrolmentCode(context, user.org_id, attempt, code), input.code)) {
    await recordFailure(context, input, attempt);
    throw invalidArgument("CODE_INVALID", "code", "this is not the code of the mail: check it and try again");
  }
  return useCode(context, user.user_id, input, code.salt);
}

/**
 * Step 1. Counted first and committed alone: no failure later in the call refunds an attempt. An attempt that reaches a
 * limit locks the authenticator in the same transaction, and only a right code unlocks it again.
 */
async function countAttempt(context: OTPContext, userId: string, { otpEmailId, caller }: VerifyOTPEmail) {
  const { policy } = context;
  const now = context.clock.now();
  const counted = await context.store.writeFor(caller, async (trx) => {
    // First the guarded statement: from here on the row is in nobody else's hands, whatever the engine.
    const { attemptsMax } = policy.enrolment;
    const [row] = await addAttempt(trx, {
      otpEmailId,
      userId,
      now,
      latest: now + lifeLeftMsMax,
      attemptsMax,
    });
    if (!row) return undefined;
    const failed = withFailure(policy.attempts, now, row);
    await setFailures(trx, { ...failed, otpEmailId });
    return { ...row, ...failed };
  });
  if (counted?.code_key_id == null || counted.code_salt === null) return undefined;
  return { ...counted, code_key_id: counted.code_key_id, code_salt: counted.code_salt };
}

/** What an attempt is counted for, if that takes one. */
export interface Countable {
  readonly otpEmailId: string;
  readonly userId: string;
  readonly now: number;
  /** No code that lives dies later. */
  readonly latest: number;
  readonly attemptsMax: number;
}

const addAttempt = prepare((db, param: Param<Countable>) =>
  db
    .updateTable("otp_emails")
    .set((eb) => ({ attempts: eb("attempts", "+", 1) }))
    .where("otp_email_id", "=", param("otpEmailId"))
    .where("user_id", "=", param("userId"))
    .where("verify_time", "is", null)
    .where("code_salt", "is not", null)
    .where("code_expire_time", ">", param("now"))
    .where("code_expire_time", "<=", param("latest"))
    .where("attempts", "<", param("attemptsMax"))
    .where(isUnlocked(param("now")))
    .where(isActive(param("userId")))
    .returningAll(),
);

/** Step 3. The code is used if it is still the one that was compared, and once. */
async function useCode(
  context: OTPContext,
  userId: string,
  input: VerifyOTPEmail,
  salt: LiveCode["salt"],
): Promise<Details> {
  const now = context.clock.now();
  const details = await context.store.writeFor(input.caller, async (trx) => {
    await lockUser(trx, userId);
    const [used] = await markVerified(trx, { otpEmailId: input.otpEmailId, userId, salt, now });
    if (!used) return undefined;
    const data = { otp_email_id: input.otpEmailId, verification: "code" };
    const event = { ...input, userId, type: "otp_email.verified", data } as const;
    const details = await appendEvent(trx, context.clock, event);
    await enqueueNotices(trx, context, { ...input, orgId: details.orgId, userId, kind: "verified" });
    return details;
  });
  if (!details) throw await refusal(context, userId, input);
  context.mailQueued();
  return details;
}

interface Usable {
  readonly otpEmailId: string;
  readonly userId: string;
  readonly salt: Uint8Array;
  readonly now: number;
}

const markVerified = prepare((db, param: Param<Usable>) =>
  db
    .updateTable("otp_emails")
    .set({
      verify_time: param("now"),
      last_use_time: param("now"),
      ...noCode,
      ...noFailures,
      change_time: param("now"),
    })
    .where("otp_email_id", "=", param("otpEmailId"))
    .where("verify_time", "is", null)
    .where("code_salt", "=", param("salt"))
    .where(isActive(param("userId")))
    .returning("otp_email_id"),
);

/** Whether the user is there and active, within a statement about something of it. */
export function isActive(userId: Expression<string>) {
  const { exists, selectFrom } = expressionBuilder<DB>();
  return exists(
    selectFrom("users").select("user_id").where("user_id", "=", userId).where("state", "=", "active"),
  );
}

/** Whether an authenticator takes attempts, within a statement about it. */
export function isUnlocked(now: Expression<number>) {
  const eb = expressionBuilder<DB, "otp_emails">();
  return eb.or([eb("locked_until", "is", null), eb("locked_until", "<=", now)]);
}

/** The trail tells of each wrong code, and once that the last attempt at a code, or before a lock, was spent. */
async function recordFailure(context: OTPContext, input: VerifyOTPEmail, row: OTPEmailRow): Promise<void> {
  const data = { otp_email_id: row.otp_email_id, attempts: row.attempts };
  const event = { ...input, userId: row.user_id, data };
  const isLocked = row.locked_until !== null && row.locked_until > context.clock.now();
  await context.store.write(async (trx) => {
    await appendEvent(trx, context.clock, { ...event, type: "otp_email.verify_failed" });
    if (!isLocked && row.attempts < context.policy.enrolment.attemptsMax) return;
    await appendEvent(trx, context.clock, { ...event, type: "otp_email.attempts_exhausted" });
  });
}

/** Why no attempt was counted, or a right code was not accepted. */
async function refusal(
  context: OTPContext,
  userId: string,
  { otpEmailId, clientAddress }: VerifyOTPEmail,
): Promise<Error> {
  const now = context.clock.now();
  const { db } = context.store;
  const { org_id: orgId } = requireActive(await findUser(db, userId));
  const row = await findOTPEmail(db, userId, otpEmailId);
  if (!row) return otpEmailNotFound();
  if (row.verify_time !== null) return codeUsed();
  const { address_canonical: canonicalAddress } = row;
  const mailRequest = { orgId, userId, canonicalAddress, clientAddress };
  if (row.locked_until !== null && row.locked_until > now) {
    return attemptsExhausted(Math.max(row.locked_until - now, await mailWaitMs(db, context, mailRequest)));
  }
  if (row.code_salt !== null && row.code_expire_time !== null && isOver(row.code_expire_time, now)) {
    await endCode(context, otpEmailId, row.code_salt);
    return codeExpired();
  }
  if (row.code_salt === null || row.attempts < context.policy.enrolment.attemptsMax) return codeExpired();
  return codeSpent(await mailWaitMs(db, context, mailRequest));
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
