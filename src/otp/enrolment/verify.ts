import { type Expression, expressionBuilder, type Transaction } from "kysely";
import { isId } from "../../db/core/id.ts";
import { lockUser } from "../../db/core/lock.ts";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { DB, OTPEmailRow, UserRow } from "../../db/core/schema.ts";
import { appendEvent, type Cause, type Details } from "../../events/event.ts";
import { Refusal } from "../../lib/refusal.ts";
import { findUser, requireActive } from "../../users/user.ts";
import { codesEqual } from "../codes/code.ts";
import type { OTPContext } from "../context.ts";
import { type CodeCheck, checkCode } from "../limits/check-code.ts";
import { clearedFailures, type Failures } from "../limits/failures.ts";
import { mailWaitMs } from "../limits/mail-limits.ts";
import { lifeLeftMsMax } from "../policy.ts";
import { attemptsExhausted, codeSpent, codeWrong, otpEmailNotFound } from "../refusals.ts";
import { enrolmentCode, isOver } from "./live-code.ts";
import { enqueueNotices } from "./notices.ts";
import { clearedCode } from "./pending-code.ts";
import { findOTPEmail } from "./read.ts";

export interface VerifyOTPEmail extends Cause {
  readonly otpEmailId: string;
  /** As `parseCode` returned it. */
  readonly code: string;
}

/**
 * Verifies an address with its code (see `tryCode`).
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
  const verdict = await checkCode(context, input.caller, enrolmentCheck(context, user, input));
  switch (verdict.kind) {
    case "right":
      if (verdict.used.isNoticed) context.mailQueued();
      return verdict.used.details;
    case "wrong":
      throw codeWrong();
    case "expired":
      throw codeExpired();
    case "refused":
      throw await refusal(context, user.user_id, input);
  }
}

function enrolmentCheck(
  context: OTPContext,
  { user_id: userId, org_id: orgId }: UserRow,
  input: VerifyOTPEmail,
) {
  const { otpEmailId, actor, clientAddress, reason } = input;
  return {
    async count(trx: Transaction<DB>) {
      // Before the row of the authenticator: whoever takes both locks takes them in this order.
      await lockUser(trx, userId);
      const now = context.clock.now();
      const [otpEmail] = await addAttempt(trx, {
        otpEmailId,
        userId,
        now,
        latest: now + lifeLeftMsMax,
        attemptsMax: context.policy.enrolment.attemptsMax,
      });
      return otpEmail && { otpEmail };
    },

    isRight({ otpEmail }: EnrolmentAttempt) {
      const { code_key_id, code_salt: salt } = otpEmail;
      const key = code_key_id === null ? undefined : context.keys.get(code_key_id);
      // The key was retired while the code lived: it cannot be checked any more, and counts as expired.
      if (!key || salt === null) return undefined;
      return codesEqual(enrolmentCode(context, orgId, otpEmail, { secret: key.secret, salt }), input.code);
    },

    async use(trx: Transaction<DB>) {
      const [used] = await markVerified(trx, { otpEmailId, userId, now: context.clock.now() });
      if (!used) return undefined;
      const data = { otp_email_id: otpEmailId, verification: "code" };
      const verified = { type: "otp_email.verified", userId, actor, clientAddress, reason, data } as const;
      const details = await appendEvent(trx, context.clock, verified);
      const change = { kind: "verified", orgId, userId, otpEmailId, actor, clientAddress } as const;
      const isNoticed = Number(used.others) > 0 && (await enqueueNotices(trx, context, change));
      return { details, isNoticed };
    },

    /** Each wrong code, and once that the last attempt at a code, or before a lock, was spent. */
    async recordFailure(trx: Transaction<DB>, { otpEmail, failed }: EnrolmentAttempt & { failed: Failures }) {
      const data = { otp_email_id: otpEmailId, attempts: otpEmail.attempts };
      const event = { userId, actor, clientAddress, reason, data };
      await appendEvent(trx, context.clock, { ...event, type: "otp_email.verify_failed" });
      const isLocked = failed.locked_until !== null && failed.locked_until > context.clock.now();
      if (!isLocked && otpEmail.attempts < context.policy.enrolment.attemptsMax) return;
      await appendEvent(trx, context.clock, { ...event, type: "otp_email.attempts_exhausted" });
    },
  } satisfies CodeCheck<EnrolmentAttempt, { details: Details; isNoticed: boolean }>;
}

interface EnrolmentAttempt {
  readonly otpEmail: Pick<OTPEmailRow, (typeof attemptColumns)[number]>;
}

const attemptColumns = [
  "otp_email_id",
  "user_id",
  "address",
  "code_key_id",
  "code_salt",
  "attempts",
  "failures",
  "failure_times",
  "lock_count",
  "locked_until",
] as const satisfies readonly (keyof OTPEmailRow)[];

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
    .returning(attemptColumns),
);

interface Usable {
  readonly otpEmailId: string;
  readonly userId: string;
  readonly now: number;
}

/** Tells how many other verified addresses the user has. */
const markVerified = prepare((db, param: Param<Usable>) =>
  db
    .updateTable("otp_emails")
    .set({
      verify_time: param("now"),
      last_use_time: param("now"),
      ...clearedCode,
      ...clearedFailures,
      change_time: param("now"),
    })
    .where("otp_email_id", "=", param("otpEmailId"))
    .where("user_id", "=", param("userId"))
    .where("verify_time", "is", null)
    .returning(({ selectFrom }) =>
      selectFrom("otp_emails as other")
        .select(({ fn }) => fn.count<number>("other.verify_time").as("others"))
        .where("other.user_id", "=", param("userId"))
        .where("other.otp_email_id", "!=", param("otpEmailId"))
        .as("others"),
    ),
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
      .set(clearedCode)
      .where("otp_email_id", "=", otpEmailId)
      .where("code_salt", "=", salt)
      .execute(),
  );
}

function codeUsed() {
  return new Refusal("CODE_USED", "the address is verified, and its code was used: nothing is left to do");
}

function codeExpired() {
  return new Refusal("CODE_EXPIRED", "the code is no longer valid: add the address again for a new one");
}
