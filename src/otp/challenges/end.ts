import { isId } from "../../db/core/id.ts";
import { lockUser } from "../../db/core/lock.ts";
import { openChallengeStates } from "../../db/core/schema.ts";
import { appendEvent, type Cause, type Details, mailReader } from "../../events/event.ts";
import type { OTPContext } from "../context.ts";
import { findOTPEmail } from "../enrolment/read.ts";
import { challengeEnded, challengeNotFound, otpEmailNotFound } from "../refusals.ts";
import { findChallenge } from "./live-challenge.ts";

export interface CancelChallenge extends Cause {
  readonly userId: string;
  readonly otpEmailId: string;
  readonly challengeId: string;
}

/**
 * Cancels a pending challenge. A mail that is still queued will not be sent.
 *
 * @throws NOT_FOUND, FAILED_PRECONDITION (challenge over or expired).
 */
export async function cancelChallenge(context: OTPContext, input: CancelChallenge): Promise<Details> {
  const { userId, otpEmailId, challengeId } = input;
  if (!isId(otpEmailId)) throw otpEmailNotFound();
  if (!isId(challengeId)) throw challengeNotFound();
  return context.store.writeFor(input.caller, async (trx) => {
    await lockUser(trx, userId);
    if (!(await findOTPEmail(trx, userId, otpEmailId))) throw otpEmailNotFound();
    const cancelled = await trx
      .updateTable("challenges")
      .set({ state: "cancelled" })
      .where("challenge_id", "=", challengeId)
      .where("otp_email_id", "=", otpEmailId)
      .where("state", "=", "pending")
      .where("code_expire_time", ">", context.clock.now())
      .returning("challenge_id")
      .executeTakeFirst();
    if (!cancelled) {
      throw (await findChallenge(trx, otpEmailId, challengeId)) ? challengeEnded() : challengeNotFound();
    }
    const data = { otp_email_id: otpEmailId, challenge_id: challengeId };
    return appendEvent(trx, context.clock, { ...input, type: "challenge.cancelled", data });
  });
}

/**
 * Reports a challenge that the reader of the mail did not ask for: ends it if it is open, and writes its state to the audit
 * log. A second report, or one of a challenge that no longer exists, does nothing.
 *
 * @param challengeId as `readMailHandle` returned it.
 */
export async function reportChallenge(
  context: OTPContext,
  challengeId: string,
  clientAddress: string | undefined,
): Promise<void> {
  await context.store.write(async (trx) => {
    const now = context.clock.now();
    const reported = await trx
      .updateTable("challenges")
      .set({ report_time: now })
      .where("challenge_id", "=", challengeId)
      .where("report_time", "is", null)
      .where("expire_time", ">", now)
      .returning(["otp_email_id", "state"])
      .executeTakeFirst();
    if (!reported) return;
    await trx
      .updateTable("challenges")
      .set({ state: "reported" })
      .where("challenge_id", "=", challengeId)
      .where("state", "in", openChallengeStates)
      .execute();
    const { user_id: userId } = await trx
      .selectFrom("otp_emails")
      .select("user_id")
      .where("otp_email_id", "=", reported.otp_email_id)
      .executeTakeFirstOrThrow();
    const data = { otp_email_id: reported.otp_email_id, challenge_id: challengeId, state: reported.state };
    const event = { actor: mailReader, clientAddress, userId, data };
    await appendEvent(trx, context.clock, { ...event, type: "challenge.reported" });
  });
}
