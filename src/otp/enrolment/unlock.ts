import { lockUser } from "../../db/core/lock.ts";
import { appendEvent, type Cause, type Details } from "../../events/event.ts";
import { Refusal } from "../../lib/refusal.ts";
import type { OTPContext } from "../context.ts";
import { clearedFailures } from "../limits/failures.ts";
import { otpEmailNotFound } from "../refusals.ts";
import { findOTPEmail } from "./read.ts";

export interface UnlockOTPEmail extends Cause {
  readonly userId: string;
  readonly otpEmailId: string;
}

/**
 * Ends the lock of an authenticator and resets its attempts. A code with failed attempts is cleared, because the new attempts
 * must not help to guess it.
 *
 * @throws NOT_FOUND, FAILED_PRECONDITION (no failures since the last right code).
 */
export async function unlockOTPEmail(context: OTPContext, input: UnlockOTPEmail): Promise<Details> {
  const { userId, otpEmailId } = input;
  return context.store.writeFor(input.caller, async (trx) => {
    await lockUser(trx, userId);
    if (!(await findOTPEmail(trx, userId, otpEmailId))) throw otpEmailNotFound();
    const unlocked = await trx
      .updateTable("otp_emails")
      .set((eb) => {
        const unlessAttempted = <C extends "code_key_id" | "code_salt" | "code_expire_time">(column: C) =>
          eb.case().when("attempts", "=", 0).then(eb.ref(column)).else(null).end();
        return {
          code_key_id: unlessAttempted("code_key_id"),
          code_salt: unlessAttempted("code_salt"),
          code_expire_time: unlessAttempted("code_expire_time"),
          ...clearedFailures,
          change_time: context.clock.now(),
        };
      })
      .where("otp_email_id", "=", otpEmailId)
      .where("user_id", "=", userId)
      .where((eb) => eb.or([eb("failures", ">", 0), eb("attempts", ">", 0)]))
      .returning("otp_email_id")
      .executeTakeFirst();
    if (!unlocked) {
      throw new Refusal(
        "OTP_EMAIL_NOT_LOCKED",
        "the authenticator is not locked and has all its attempts: there is nothing to unlock",
      );
    }
    const data = { otp_email_id: otpEmailId };
    return appendEvent(trx, context.clock, { ...input, type: "otp_email.unlocked", data });
  });
}
