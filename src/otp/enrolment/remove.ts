import { isId } from "../../db/core/id.ts";
import { lockUser } from "../../db/core/lock.ts";
import { appendEvent, type Cause, type Details } from "../../events/event.ts";
import type { OTPContext } from "../context.ts";
import { rememberFailures } from "../limits/removed-failures.ts";
import { otpEmailNotFound } from "../refusals.ts";
import { enqueueNotices } from "./notices.ts";

export interface RemoveOTPEmail extends Cause {
  readonly userId: string;
  readonly otpEmailId: string;
}

/**
 * Removes an authenticator with its code and queued mails. Its failures are kept, see `rememberFailures`. Of any number of
 * simultaneous calls, one succeeds.
 *
 * @throws NOT_FOUND
 */
export async function removeOTPEmail(context: OTPContext, input: RemoveOTPEmail): Promise<Details> {
  const { userId, otpEmailId } = input;
  if (!isId(otpEmailId)) throw otpEmailNotFound();
  const details = await context.store.writeFor(input.caller, async (trx) => {
    await lockUser(trx, userId);
    const removed = await trx
      .deleteFrom("otp_emails")
      .where("otp_email_id", "=", otpEmailId)
      .where("user_id", "=", userId)
      .returningAll()
      .executeTakeFirst();
    if (!removed) throw otpEmailNotFound();
    const data = { otp_email_id: otpEmailId };
    const details = await appendEvent(trx, context.clock, { ...input, type: "otp_email.removed", data });
    await rememberFailures(trx, context, details.orgId, removed);
    await enqueueNotices(trx, context, { ...input, orgId: details.orgId, kind: "removed" });
    return details;
  });
  context.mailQueued();
  return details;
}
