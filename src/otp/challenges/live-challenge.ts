import type { Kysely } from "kysely";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { ChallengeRow, DB, OTPEmailRow } from "../../db/core/schema.ts";
import { deriveCode } from "../codes/code.ts";
import { type LiveCode, type LiveCodeContext, liveCodeIn } from "../codes/live-code.ts";
import type { OTPContext } from "../context.ts";

/** Returns the live code of a challenge, or undefined if it has none or is over. */
export function liveLoginCode(context: LiveCodeContext, row: ChallengeRow): LiveCode | undefined {
  return row.state === "pending" ? liveCodeIn(context, row, context.policy.login) : undefined;
}

/** Derives the code that passes a challenge. */
export function loginCode(
  context: OTPContext,
  orgId: string,
  row: Pick<OTPEmailRow, "otp_email_id" | "user_id" | "address">,
  challengeId: string,
  code: Pick<LiveCode, "secret" | "salt">,
): string {
  return deriveCode(
    code.secret,
    {
      purpose: "login",
      orgId,
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

/** Finds the pending challenge of an authenticator: there is at most one. */
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
