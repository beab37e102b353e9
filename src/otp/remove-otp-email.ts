import { isId } from "../db/id.ts";
import { appendEvent, type Cause, type Details } from "../user/event.ts";
import type { OTPContext } from "./context.ts";
import { otpEmailNotFound } from "./refusals.ts";
import { keepAttempts } from "./spent-attempts.ts";

export interface RemoveOTPEmail extends Cause {
  readonly userId: string;
  readonly otpEmailId: string;
}

/**
 * Removes an authenticator, and with it its code and the mails that wait. Its wrong attempts are kept for the address. Of
 * any number of simultaneous calls one removes it.
 *
 * @throws NOT_FOUND
 */
export async function removeOTPEmail(context: OTPContext, input: RemoveOTPEmail): Promise<Details> {
  const { userId, otpEmailId } = input;
  if (!isId(otpEmailId)) throw otpEmailNotFound();
  return context.store.write(async (trx) => {
    const removed = await trx
      .deleteFrom("otp_emails")
      .where("otp_email_id", "=", otpEmailId)
      .where("user_id", "=", userId)
      .returning(["user_id", "address_canonical", "attempts", "lock_count", "locked_until"])
      .executeTakeFirst();
    if (!removed) throw otpEmailNotFound();
    await keepAttempts(trx, context.policy, removed);
    const data = { otp_email_id: otpEmailId };
    return appendEvent(trx, context.clock, { ...input, type: "otp_email.removed", data });
  });
}
