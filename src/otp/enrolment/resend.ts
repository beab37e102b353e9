import type { Kysely } from "kysely";
import { once, type Repeatable } from "../../db/core/idempotency.ts";
import type { DB, OTPEmailRow } from "../../db/core/schema.ts";
import { type Cause, type Details, reserveEvent } from "../../events/event.ts";
import { Refusal } from "../../lib/refusal.ts";
import { requireActive } from "../../users/user.ts";
import type { CodeDelivery } from "../code-delivery.ts";
import { saltOf } from "../codes/live-code.ts";
import type { OTPContext } from "../context.ts";
import { otpEmailNotFound } from "../refusals.ts";
import { enrolmentCode, repeatedCode } from "./live-code.ts";
import { renewCode } from "./pending-code.ts";
import { findOTPEmail } from "./read.ts";

export interface ResendCode extends Cause, Repeatable {
  readonly userId: string;
  readonly otpEmailId: string;
  readonly delivery: CodeDelivery;
}

/**
 * Mails or returns the code of a pending address: the live code, or a fresh one if there is none.
 *
 * @returns the code only for `return_code`, and undefined too if the call is repeated and its code is no longer alive.
 * @throws NOT_FOUND, FAILED_PRECONDITION (user not active, address verified, idempotency key reused), RESOURCE_EXHAUSTED
 *   (authenticator locked, too many mails).
 */
export async function resendCode(
  context: OTPContext,
  input: ResendCode,
): Promise<{ details: Details; code: string | undefined }> {
  const { reply, made } = await context.store.writeFor(input.caller, (trx) =>
    once(trx, context.clock, input.idempotencyKey, async () => {
      const slot = requireActive(await reserveEvent(trx, context.clock, input.userId));
      const row = await requirePending(trx, input);
      const { code, details } = await renewCode(trx, context, row, { ...input, orgId: slot.orgId }, slot);
      return { reply: { details, codeSalt: saltOf(code) }, made: { row, code } };
    }),
  );
  const { details, codeSalt } = reply;
  if (input.delivery.kind === "send_code") {
    context.mailQueued();
    return { details, code: undefined };
  }
  const code = made
    ? enrolmentCode(context, details.orgId, made.row, made.code)
    : await repeatedCode(context, details.orgId, { ...input, codeSalt });
  return { details, code };
}

async function requirePending(db: Kysely<DB>, { userId, otpEmailId }: ResendCode): Promise<OTPEmailRow> {
  const row = await findOTPEmail(db, userId, otpEmailId);
  if (!row) throw otpEmailNotFound();
  if (row.verify_time !== null) {
    throw new Refusal("OTP_EMAIL_ALREADY_VERIFIED", "the address is verified: there is no code to resend");
  }
  return row;
}
