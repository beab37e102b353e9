import type { Transaction } from "kysely";
import { isId } from "../../db/core/id.ts";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { DB, OTPEmailRow, UserRow } from "../../db/core/schema.ts";
import { appendEvent, type Cause, type Details } from "../../events/event.ts";
import { Refusal } from "../../lib/refusal.ts";
import { findUser, isActive, requireActive } from "../../users/user.ts";
import { codesEqual } from "../codes/code.ts";
import { isExpired } from "../codes/live-code.ts";
import type { OTPContext } from "../context.ts";
import { type AttemptParams, type CodeCheck, checkCode } from "../limits/check-code.ts";
import { clearedFailures } from "../limits/failures.ts";
import { isUnlocked, refuseLocked } from "../limits/lock.ts";
import { mailWaitMs } from "../limits/mail-limits.ts";
import { lifeLeftMsMax } from "../policy.ts";
import { codeSpent, otpEmailNotFound } from "../refusals.ts";
import { enrolmentCode } from "./live-code.ts";
import { enqueueNotices } from "./notices.ts";
import { clearedCode } from "./pending-code.ts";
import { findOTPEmail } from "./read.ts";

export interface VerifyOTPEmail extends Cause {
  readonly otpEmailId: string;
  /** As `parseCode` returned it. */
  readonly code: string;
}

/**
 * Verifies an address with its code (see `checkCode`).
 *
 * @throws INVALID_ARGUMENT (wrong code), FAILED_PRECONDITION (code used or expired, user not active), NOT_FOUND,
 *   RESOURCE_EXHAUSTED (too many wrong codes).
 */
export async function verifyOTPEmail(
  context: OTPContext,
  user: UserRow,
  input: VerifyOTPEmail,
): Promise<Details> {
  requireActive(user);
  if (!isId(input.otpEmailId)) throw otpEmailNotFound();
  const check = enrolmentCheck(context, user, input);
  const { details, isNoticed } = await checkCode(context, input.caller, check);
  if (isNoticed) context.mailQueued();
  return details;
}

function enrolmentCheck(
  context: OTPContext,
  { user_id: userId, org_id: orgId }: UserRow,
  input: VerifyOTPEmail,
) {
  const { otpEmailId, actor, clientAddress, reason } = input;
  const { attemptsMax } = context.policy.enrolment;
  return {
    userId,
    attemptsMax,

    async count(trx: Transaction<DB>) {
      const now = context.clock.now();
      const latest = now + lifeLeftMsMax;
      const [otpEmail] = await addAttempt(trx, { otpEmailId, userId, now, latest, attemptsMax });
      return otpEmail && { attempts: otpEmail.attempts, otpEmail };
    },

    isRight({ otpEmail }: EnrolmentAttempt) {
      const { code_key_id, code_salt: salt } = otpEmail;
      const key = code_key_id === null ? undefined : context.keys.get(code_key_id);
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

    async recordFailure(trx: Transaction<DB>, { attempts }: EnrolmentAttempt, isLast: boolean) {
      const data = { otp_email_id: otpEmailId, attempts };
      const event = { userId, actor, clientAddress, reason, data };
      await appendEvent(trx, context.clock, { ...event, type: "otp_email.verify_failed" });
      if (isLast) await appendEvent(trx, context.clock, { ...event, type: "otp_email.attempts_exhausted" });
    },

    codeExpired,
    refuse: () => refuse(context, userId, input),
  } satisfies CodeCheck<EnrolmentAttempt, { details: Details; isNoticed: boolean }>;
}

interface EnrolmentAttempt {
  readonly attempts: number;
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

const addAttempt = prepare((db, param: Param<AttemptParams>) =>
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

/** Also counts the other verified addresses of the user. */
const markVerified = prepare((db, param: Param<{ otpEmailId: string; userId: string; now: number }>) =>
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

async function refuse(
  context: OTPContext,
  userId: string,
  { otpEmailId, clientAddress }: VerifyOTPEmail,
): Promise<never> {
  const { db } = context.store;
  const { org_id: orgId } = requireActive(await findUser(db, userId));
  const row = await findOTPEmail(db, userId, otpEmailId);
  if (!row) throw otpEmailNotFound();
  if (row.verify_time !== null) throw codeUsed();
  const mail = { orgId, userId, canonicalAddress: row.address_canonical, clientAddress };
  await refuseLocked(db, context, row, mail);
  const { code_salt: salt, code_expire_time: expireTime } = row;
  if (salt === null || expireTime === null) throw codeExpired();
  if (isExpired(expireTime, context.clock.now())) {
    await endCode(context, otpEmailId, salt);
    throw codeExpired();
  }
  if (row.attempts < context.policy.enrolment.attemptsMax) throw codeExpired();
  throw codeSpent(await mailWaitMs(db, context, mail));
}

/** Makes the expiry permanent: setting the clock back must not revive the code. */
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
  return new Refusal("CODE_USED", "the code was used already: the address is verified");
}

function codeExpired() {
  return new Refusal("CODE_EXPIRED", "the code is no longer valid: add the address again for a new one");
}
