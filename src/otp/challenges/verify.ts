import type { Transaction } from "kysely";
import { isId } from "../../db/core/id.ts";
import { lockUser } from "../../db/core/lock.ts";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { ChallengeRow, DB, OTPEmailRow, UserRow } from "../../db/core/schema.ts";
import { appendEvent, type Cause, type Details } from "../../events/event.ts";
import { Refusal } from "../../lib/refusal.ts";
import { findUser, requireActive } from "../../users/user.ts";
import { codesEqual } from "../codes/code.ts";
import type { OTPContext } from "../context.ts";
import { isOver } from "../enrolment/live-code.ts";
import { findOTPEmail } from "../enrolment/read.ts";
import { type Countable, isActive, isUnlocked } from "../enrolment/verify.ts";
import { type CodeCheck, checkCode } from "../limits/check-code.ts";
import { clearedFailures, type Failures } from "../limits/failures.ts";
import { mailWaitMs } from "../limits/mail-limits.ts";
import { lifeLeftMsMax } from "../policy.ts";
import {
  attemptsExhausted,
  challengeEnded,
  challengeNotFound,
  codeSpent,
  codeWrong,
  otpEmailNotFound,
} from "../refusals.ts";
import { findChallenge, loginCode } from "./live-challenge.ts";

export interface VerifyChallenge extends Cause {
  readonly otpEmailId: string;
  readonly challengeId: string;
  /** As `parseCode` returned it. */
  readonly code: string;
}

/** What a proof is made of. */
export interface PassedChallenge {
  readonly details: Details;
  readonly challengeId: string;
  readonly audience: string;
  readonly nonce: string | null;
  /** Milliseconds since the epoch. */
  readonly passTime: number;
}

/**
 * Checks the code of a challenge (see `tryCode`).
 *
 * @throws INVALID_ARGUMENT (wrong code), FAILED_PRECONDITION (used, expired, over, user not active), NOT_FOUND,
 *   RESOURCE_EXHAUSTED (too many wrong codes).
 */
export async function verifyChallenge(
  context: OTPContext,
  user: UserRow,
  input: VerifyChallenge,
): Promise<PassedChallenge> {
  requireActive(user);
  if (!isId(input.otpEmailId)) throw otpEmailNotFound();
  if (!isId(input.challengeId)) throw challengeNotFound();
  const verdict = await checkCode(context, input.caller, loginCheck(context, user, input));
  switch (verdict.kind) {
    case "right":
      return verdict.used;
    case "wrong":
      throw codeWrong();
    case "expired":
      throw codeExpired();
    case "refused":
      throw await refusal(context, user.user_id, input);
  }
}

/** An attempt counts for the code and for its authenticator. */
function loginCheck(context: OTPContext, { user_id: userId, org_id }: UserRow, input: VerifyChallenge) {
  const { otpEmailId, challengeId, actor, clientAddress, reason } = input;
  const { attemptsMax } = context.policy.login;
  const data = { otp_email_id: otpEmailId, challenge_id: challengeId };
  const cause = { userId, actor, clientAddress, reason };
  return {
    async count(trx: Transaction<DB>) {
      await lockUser(trx, userId);
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
      return otpEmail && { challenge, otpEmail };
    },

    isRight({ otpEmail, challenge }: LoginAttempt) {
      const key = context.keys.get(challenge.code_key_id);
      // The key was retired while the code lived: it cannot be checked any more, and counts as expired.
      if (!key) return undefined;
      const code = { secret: key.secret, salt: challenge.code_salt };
      return codesEqual(loginCode(context, { ...otpEmail, org_id }, challengeId, code), input.code);
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

    /** Each wrong code, and once that the last attempt was spent, with which the challenge is over. */
    async recordFailure(trx: Transaction<DB>, { challenge, failed }: LoginAttempt & { failed: Failures }) {
      const event = { ...cause, data: { ...data, attempts: challenge.attempts } };
      await appendEvent(trx, context.clock, { ...event, type: "challenge.failed" });
      const isLocked = failed.locked_until !== null && failed.locked_until > context.clock.now();
      if (!isLocked && challenge.attempts < attemptsMax) return;
      const [ended] = await markFailed(trx, { challengeId });
      if (ended) await appendEvent(trx, context.clock, { ...event, type: "challenge.attempts_exhausted" });
    },
  } satisfies CodeCheck<LoginAttempt, PassedChallenge>;
}

interface LoginAttempt {
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

const addAttempt = prepare((db, param: Param<Countable & { challengeId: string }>) =>
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

/** Why no attempt was counted, or a right code was not accepted. */
async function refusal(context: OTPContext, userId: string, input: VerifyChallenge): Promise<Error> {
  const { otpEmailId, challengeId, clientAddress } = input;
  const now = context.clock.now();
  const { db } = context.store;
  const { org_id: orgId } = requireActive(await findUser(db, userId));
  const row = await findOTPEmail(db, userId, otpEmailId);
  if (!row) return otpEmailNotFound();
  const challenge = await findChallenge(db, otpEmailId, challengeId);
  if (!challenge) return challengeNotFound();
  const { state, attempts } = challenge;
  if (state === "passed") return codeUsed();
  if (state === "expired") return codeExpired();
  if (state !== "pending" && state !== "failed") return challengeEnded();
  const { address_canonical: canonicalAddress } = row;
  const mailRequest = { orgId, userId, canonicalAddress, clientAddress };
  if (row.locked_until !== null && row.locked_until > now) {
    return attemptsExhausted(Math.max(row.locked_until - now, await mailWaitMs(db, context, mailRequest)));
  }
  if (state === "pending" && isOver(challenge.code_expire_time, now)) await endExpired(context, challengeId);
  if (state === "pending" && attempts < context.policy.login.attemptsMax) return codeExpired();
  return codeSpent(await mailWaitMs(db, context, mailRequest));
}

/** Expiry is recorded: a clock that is set back does not bring the code back to life. */
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
  return new Refusal("CODE_USED", "the challenge is passed, and its code was used: begin a new one");
}

function codeExpired() {
  return new Refusal("CODE_EXPIRED", "the code is no longer valid: begin a new challenge");
}
