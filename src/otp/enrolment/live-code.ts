import type { OTPEmailRow } from "../../db/core/schema.ts";
import { deriveCode } from "../codes/code.ts";
import {
  type CodeColumns,
  type LiveCode,
  type LiveCodeContext,
  liveCodeIn,
  saltOf,
} from "../codes/live-code.ts";
import type { OTPContext } from "../context.ts";
import { findOTPEmail } from "./read.ts";

/** Returns the live code of an authenticator, or undefined if it has none or is verified. */
export function liveCode(
  context: LiveCodeContext,
  row: CodeColumns & Pick<OTPEmailRow, "verify_time">,
): LiveCode | undefined {
  return row.verify_time === null ? liveCodeIn(context, row, context.policy.enrolment) : undefined;
}

/** Derives the code that verifies an authenticator. */
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

/**
 * Derives the code of a reply that is repeated for its idempotency key.
 *
 * @param codeSalt identifies the code (see `saltOf`).
 * @returns undefined if the code is no longer alive.
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
