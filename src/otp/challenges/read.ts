import { isId } from "../../db/core/id.ts";
import type { ChallengeState } from "../../db/core/schema.ts";
import { isExpired } from "../codes/live-code.ts";
import type { OTPContext } from "../context.ts";
import { findOTPEmail, settledMail } from "../enrolment/read.ts";
import { failuresLeft } from "../limits/failures.ts";
import { lockLeftMs } from "../limits/lock.ts";
import { type MailStatus, waitingMail } from "../mail-status.ts";
import { challengeNotFound, otpEmailNotFound } from "../refusals.ts";
import { findChallenge, liveLoginCode } from "./live-challenge.ts";

/** A challenge as callers see it. Times are milliseconds since the epoch. */
export interface Challenge {
  readonly challengeId: string;
  readonly state: ChallengeState | "expired";
  readonly createTime: number;
  /** When the code expires. */
  readonly expireTime: number;
  /** How many wrong codes end the challenge or lock the authenticator. 0: the code can't be verified any more. */
  readonly attemptsLeft: number;
  /** Undefined if the code was returned. */
  readonly mail: MailStatus | undefined;
}

/** @throws NOT_FOUND */
export async function getChallenge(
  context: OTPContext,
  { userId, otpEmailId, challengeId }: { userId: string; otpEmailId: string; challengeId: string },
): Promise<Challenge> {
  const { db } = context.store;
  const otpEmail = await findOTPEmail(db, userId, otpEmailId);
  if (!otpEmail) throw otpEmailNotFound();
  const row = isId(challengeId) ? await findChallenge(db, otpEmailId, challengeId) : undefined;
  if (!row) throw challengeNotFound();

  const now = context.clock.now();
  const { login, attempts } = context.policy;
  const canPass = lockLeftMs(otpEmail, now) === 0 && liveLoginCode(context, row) !== undefined;
  return {
    challengeId,
    state: row.state === "pending" && isExpired(row.code_expire_time, now) ? "expired" : row.state,
    createTime: row.create_time,
    expireTime: row.code_expire_time,
    attemptsLeft: canPass
      ? Math.min(login.attemptsMax - row.attempts, failuresLeft(attempts, now, otpEmail))
      : 0,
    mail: (await waitingMail(db, otpEmailId, row.code_salt)) ?? settledMail(row),
  };
}
