import type { Kysely } from "kysely";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { ChallengeRow, DB, OTPEmailRow } from "../../db/core/schema.ts";
import { deriveCode } from "../codes/code.ts";
import type { OTPContext } from "../context.ts";
import { isOver, type LiveCode, type LiveCodeContext } from "../enrolment/live-code.ts";

/** The live code of a challenge, or undefined if it has none: over, expired, spent, or its key was retired. */
export function liveLoginCode(context: LiveCodeContext, row: ChallengeRow): LiveCode | undefined {
  if (row.state !== "pending" || isOver(row.code_expire_time, context.clock.now())) return undefined;
  if (row.attempts >= context.policy.login.attemptsMax) return undefined;
  const key = context.keys.get(row.code_key_id);
  return key && { secret: key.secret, salt: row.code_salt, expireTime: row.code_expire_time };
}

/** What the user has to type to pass a challenge. */
export function loginCode(
  context: OTPContext,
  row: Pick<OTPEmailRow, "otp_email_id" | "user_id" | "address"> & { org_id: string },
  challengeId: string,
  code: Pick<LiveCode, "secret" | "salt">,
): string {
  return deriveCode(
    code.secret,
    {
      purpose: "login",
      orgId: row.org_id,
      userId: row.user_id,
      otpEmailId: row.otp_email_id,
      challengeId,
      address: row.address,
      salt: code.salt,
    },
    context.policy.login.format,
  );
}

export async function findChallenge(
  db: Kysely<DB>,
  otpEmailId: string,
  challengeId: string,
): Promise<ChallengeRow | undefined> {
  const [row] = await selectChallenge(db, { otpEmailId, challengeId });
  return row;
}

const selectChallenge = prepare((db, param: Param<{ otpEmailId: string; challengeId: string }>) =>
  db
    .selectFrom("challenges")
    .selectAll()
    .where("challenge_id", "=", param("challengeId"))
    .where("otp_email_id", "=", param("otpEmailId")),
);

/** The challenge of an authenticator that waits for its code. */
export async function pendingChallenge(
  db: Kysely<DB>,
  otpEmailId: string,
): Promise<ChallengeRow | undefined> {
  const [row] = await selectPending(db, { otpEmailId });
  return row;
}

const selectPending = prepare((db, param: Param<{ otpEmailId: string }>) =>
  db
    .selectFrom("challenges")
    .selectAll()
    .where("otp_email_id", "=", param("otpEmailId"))
    .where("state", "=", "pending"),
);
