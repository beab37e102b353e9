import type { OTPEmailRow } from "../../db/core/schema.ts";
import { deriveCode } from "../codes/code.ts";
import type { OTPContext } from "../context.ts";
import { lifeLeftMsMax } from "../policy.ts";
import { findOTPEmail } from "./read.ts";

/** The columns of an authenticator that its code is derived from and lives by. */
export type CodeColumns = Pick<
  OTPEmailRow,
  | "otp_email_id"
  | "user_id"
  | "address"
  | "verify_time"
  | "code_key_id"
  | "code_salt"
  | "code_expire_time"
  | "attempts"
>;

/** The key and salt of a code that can still be verified. */
export interface LiveCode {
  readonly secret: Uint8Array;
  readonly salt: Uint8Array;
  readonly expireTime: number;
}

/** What tells whether a code is alive. */
export type LiveCodeContext = Pick<OTPContext, "clock" | "keys" | "policy">;

/** Whether the life of a code is over. So it is if it has more left than a code ever has: the clock was set back since (F10). */
export function isOver(expireTime: number, now: number): boolean {
  return expireTime <= now || expireTime > now + lifeLeftMsMax;
}

/** The live code of an authenticator, or undefined if it has none: used, expired, spent, or its key was retired. */
export function liveCode(context: LiveCodeContext, row: CodeColumns): LiveCode | undefined {
  if (row.verify_time !== null || row.code_salt === null || row.code_key_id === null) return undefined;
  if (row.code_expire_time === null || isOver(row.code_expire_time, context.clock.now())) return undefined;
  if (row.attempts >= context.policy.enrolment.attemptsMax) return undefined;
  const key = context.keys.get(row.code_key_id);
  return key && { secret: key.secret, salt: row.code_salt, expireTime: row.code_expire_time };
}

/** What is kept of a code where its reply is: nothing to use without the key. */
export function saltOf({ salt }: Pick<LiveCode, "salt">): string {
  return Buffer.from(salt).toString("base64url");
}

/**
 * The code of a reply that is given once more, or undefined if it is no longer alive.
 *
 * @param codeSalt of the code, in base64url.
 */
export async function repeatedCode(
  context: OTPContext,
  orgId: string,
  { userId, otpEmailId, codeSalt }: { userId: string; otpEmailId: string; codeSalt: string },
): Promise<string | undefined> {
  const row = await findOTPEmail(context.store.db, userId, otpEmailId);
  const code = row && liveCode(context, row);
  if (!row || !code || saltOf(code) !== codeSalt) return undefined;
  return enrolmentCode(context, orgId, row, code);
}

/** What the user of an authenticator has to type for it to be verified. */
export function enrolmentCode(
  context: OTPContext,
  orgId: string,
  row: Pick<OTPEmailRow, "otp_email_id" | "user_id" | "address">,
  code: Pick<LiveCode, "secret" | "salt">,
): string {
  return deriveCode(
    code.secret,
    {
      purpose: "enrolment",
      orgId,
      userId: row.user_id,
      otpEmailId: row.otp_email_id,
      challengeId: "",
      address: row.address,
      salt: code.salt,
    },
    context.policy.enrolment.format,
  );
}
