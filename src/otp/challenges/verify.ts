import type { Transaction } from "kysely";
import { isId } from "../../db/core/id.ts";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { ChallengeRow, DB, OTPEmailRow, UserRow } from "../../db/core/schema.ts";
import { appendEvent, type Cause, type Details } from "../../events/event.ts";
import { Refusal } from "../../lib/refusal.ts";
import { findUser, isActive, requireActive } from "../../users/user.ts";
import { codesEqual } from "../codes/code.ts";
import { isExpired } from "../codes/live-code.ts";
import type { OTPContext } from "../context.ts";
import { findOTPEmail } from "../enrolment/read.ts";
import { type AttemptParams, type CodeCheck, checkCode } from "../limits/check-code.ts";
import { clearedFailures } from "../limits/failures.ts";
import { isUnlocked, refuseLocked } from "../limits/lock.ts";
import { mailWaitMs } from "../limits/mail-limits.ts";
import { lifeLeftMsMax } from "../policy.ts";
import { challengeEnded, challengeNotFound, codeSpent, otpEmailNotFound } from "../refusals.ts";
import { findChallenge, loginCode } from "./live-challenge.ts";

export interface VerifyChallenge extends Cause {
  readonly otpEmailId: string;
  readonly challengeId: string;
  /** As `parseCode` returned it. */
  readonly code: string;
}

/** What the proof of a passed challenge states. */
export interface PassedChallenge {
  readonly details: Details;
  readonly challengeId: string;
  readonly audience: string;
  readonly nonce: string | null;
  /** Milliseconds since the epoch. */
  readonly passTime: number;
}

/**
 * Passes a challenge with its code (see `checkCode`).
 *
 * @throws INVALID_ARGUMENT (wrong code), FAILED_PRECONDITION (code used or expired, challenge over, user not active),
 *   NOT_FOUND, RESOURCE_EXHAUSTED (too many wrong codes).
 */
export async function verifyChallenge(
  context: OTPContext,
  user: UserRow,
  input: VerifyChallenge,
): Promise<PassedChallenge> {
  requireActive(user);
  if (!isId(input.otpEmailId)) throw otpEmailNotFound();
  if (!isId(input.challengeId)) throw challengeNotFound();
  return checkCode(context, input.caller, loginCheck(context, user, input));
}

function loginCheck(
  context: OTPContext,
  { user_id: userId, org_id: orgId }: UserRow,
  input: VerifyChallenge,
) {
  const { otpEmailId, challengeId, actor, clientAddress, reason } = input;
  const { attemptsMax } = context.policy.login;
  const data = { otp_email_id: otpEmailId, challenge_id: challengeId };
  const cause = { userId, actor, clientAddress, reason };
  return {
    userId,
    attemptsMax,

    async count(trx: Transaction<DB>) {
      const now = context.clock.now();
      const latest = now + lifeLeftMsMax;
      const [challenge] = await addAttempt(trx, {
        challengeId,
        otpEmailId,
        userId,
        now,
        latest,
        attemptsMax,
      });
      const otpEmail = challenge && (await findOTPEmail(trx, userId, otpEmailId));
      return otpEmail && { attempts: challenge.attempts, otpEmail, challenge };
    },

    isRight({ otpEmail, challenge }: LoginAttempt) {
      const key = context.keys.get(challenge.code_key_id);
      if (!key) return undefined;
      const code = { secret: key.secret, salt: challenge.code_salt };
      return codesEqual(loginCode(context, orgId, otpEmail, challengeId, code), input.code);
    },

    async use(trx: Transaction<DB>, { challenge: { audience, nonce } }: LoginAttempt) {
      const now = context.clock.now();
      const [passed] = await markPassed(trx, { challengeId, userId });
      if (!passed) return undefined;
      await markUsed(trx, { otpEmailId, now });
      const event = { ...cause, type: "challenge.passed", data: { ...data, audience } } as const;
      const details = await appendEvent(trx, context.clock, event);
      return { details, challengeId, audience, nonce, passTime: now };
    },

    async recordFailure(trx: Transaction<DB>, { attempts }: LoginAttempt, isLast: boolean) {
      const event = { ...cause, data: { ...data, attempts } };
      await appendEvent(trx, context.clock, { ...event, type: "challenge.failed" });
      if (!isLast) return;
      const [ended] = await markFailed(trx, { challengeId });
      if (ended) await appendEvent(trx, context.clock, { ...event, type: "challenge.attempts_exhausted" });
    },

    codeExpired,
    refuse: () => refuse(context, userId, input),
  } satisfies CodeCheck<LoginAttempt, PassedChallenge>;
}

interface LoginAttempt {
  readonly attempts: number;
  readonly otpEmail: OTPEmailRow;
  readonly challenge: Pick<ChallengeRow, (typeof attemptColumns)[number]>;
}

const attemptColumns = [
  "audience",
  "nonce",
  "code_key_id",
  "code_salt",
  "attempts",
] as const satisfies readonly (keyof ChallengeRow)[];

const addAttempt = prepare((db, param: Param<AttemptParams & { challengeId: string }>) =>
  db
    .updateTable("challenges")
    .set((eb) => ({ attempts: eb("attempts", "+", 1) }))
    .where("challenge_id", "=", param("challengeId"))
    .where("otp_email_id", "=", param("otpEmailId"))
    .where("state", "=", "pending")
    .where("code_expire_time", ">", param("now"))
    .where("code_expire_time", "<=", param("latest"))
    .where("attempts", "<", param("attemptsMax"))
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom("otp_emails")
          .select("otp_email_id")
          .where("otp_email_id", "=", param("otpEmailId"))
          .where("user_id", "=", param("userId"))
          .where(isUnlocked(param("now")))
          .where(isActive(param("userId"))),
      ),
    )
    .returning(attemptColumns),
);

const markPassed = prepare((db, param: Param<{ challengeId: string; userId: string }>) =>
  db
    .updateTable("challenges")
    .set({ state: "passed" })
    .where("challenge_id", "=", param("challengeId"))
    .where("state", "=", "pending")
    .where(isActive(param("userId")))
    .returning("challenge_id"),
);

const markUsed = prepare((db, param: Param<{ otpEmailId: string; now: number }>) =>
  db
    .updateTable("otp_emails")
    .set({ last_use_time: param("now"), ...clearedFailures })
    .where("otp_email_id", "=", param("otpEmailId")),
);

const markFailed = prepare((db, param: Param<{ challengeId: string }>) =>
  db
    .updateTable("challenges")
    .set({ state: "failed" })
    .where("challenge_id", "=", param("challengeId"))
    .where("state", "=", "pending")
    .returning("challenge_id"),
);

async function refuse(
  context: OTPContext,
  userId: string,
  { otpEmailId, challengeId, clientAddress }: VerifyChallenge,
): Promise<never> {
  const { db } = context.store;
  const { org_id: orgId } = requireActive(await findUser(db, userId));
  const row = await findOTPEmail(db, userId, otpEmailId);
  if (!row) throw otpEmailNotFound();
  const challenge = await findChallenge(db, otpEmailId, challengeId);
  if (!challenge) throw challengeNotFound();
  const { state, attempts } = challenge;
  if (state === "passed") throw codeUsed();
  if (state === "expired") throw codeExpired();
  if (state !== "pending" && state !== "failed") throw challengeEnded();
  const verifyTime = row.verify_time;
  const mail = { orgId, userId, canonicalAddress: row.address_canonical, clientAddress, verifyTime };
  await refuseLocked(db, context, row, mail);
  if (state === "pending") {
    if (isExpired(challenge.code_expire_time, context.clock.now())) await endExpired(context, challengeId);
    if (attempts < context.policy.login.attemptsMax) throw codeExpired();
  }
  throw codeSpent(await mailWaitMs(db, context, mail));
}

/** Makes the expiry permanent: setting the clock back must not revive the code. */
async function endExpired(context: OTPContext, challengeId: string): Promise<void> {
  await context.store.write((trx) =>
    trx
      .updateTable("challenges")
      .set({ state: "expired" })
      .where("challenge_id", "=", challengeId)
      .where("state", "=", "pending")
      .execute(),
  );
}

function codeUsed() {
  return new Refusal("CODE_USED", "the code was used already: the challenge is passed. Start a new one");
}

function codeExpired() {
  return new Refusal("CODE_EXPIRED", "the code is no longer valid: start a new challenge");
}
