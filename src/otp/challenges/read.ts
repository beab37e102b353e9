import { isId } from "../../db/core/id.ts";
import type { ChallengeState } from "../../db/core/schema.ts";
import type { OTPContext } from "../context.ts";
import { isOver } from "../enrolment/live-code.ts";
import { findOTPEmail, settledMail } from "../enrolment/read.ts";
import { failuresLeft } from "../limits/failures.ts";
import { type MailStatus, waitingMail } from "../mail-status.ts";
import { challengeNotFound, otpEmailNotFound } from "../refusals.ts";
import { findChallenge, liveLoginCode } from "./live-challenge.ts";

/** A challenge as it is told of. Times are milliseconds since the epoch. */
export interface Challenge {
  readonly challengeId: string;
  readonly state: ChallengeState | "expired";
  readonly createTime: number;
  /** When its code dies. */
  readonly expireTime: number;
  /** How many wrong codes there may still be before it is over or the authenticator locked. None once its code is dead. */
  readonly attemptsLeft: number;
  /** What came of its mail, if it has one. */
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
  const isLocked = otpEmail.locked_until !== null && otpEmail.locked_until > now;
  const canPass = !isLocked && liveLoginCode(context, row) !== undefined;
  return {
    challengeId,
    state: row.state === "pending" && isOver(row.code_expire_time, now) ? "expired" : row.state,
    createTime: row.create_time,
    expireTime: row.code_expire_time,
    attemptsLeft: canPass
      ? Math.min(login.attemptsMax - row.attempts, failuresLeft(attempts, now, otpEmail))
      : 0,
    mail: (await waitingMail(db, otpEmailId, row.code_salt)) ?? settledMail(row),
  };
}
