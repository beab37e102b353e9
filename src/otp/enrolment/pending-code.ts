import type { Transaction } from "kysely";
import type { DB, OTPEmailRow } from "../../db/core/schema.ts";
import { type Cause, type Details, type EventSlot, writeEvent } from "../../events/event.ts";
import { type CodeDelivery, enqueueIfMailed } from "../code-delivery.ts";
import { freshCode, type LiveCode } from "../codes/live-code.ts";
import type { OTPContext } from "../context.ts";
import { refuseLocked } from "../limits/lock.ts";
import { liveCode } from "./live-code.ts";

/**
 * Issues the code of a pending authenticator again: the live code, or a fresh one if there is none. Neither resets the
 * authenticator's failures.
 *
 * @param slot reserved for the event.
 * @throws RESOURCE_EXHAUSTED (authenticator locked, too many mails).
 */
export async function renewCode(
  trx: Transaction<DB>,
  context: OTPContext,
  row: OTPEmailRow,
  request: Cause & { readonly orgId: string; readonly delivery: CodeDelivery },
  slot: EventSlot,
): Promise<{ code: LiveCode; details: Details }> {
  const { orgId, delivery, clientAddress } = request;
  const mail = { orgId, userId: row.user_id, canonicalAddress: row.address_canonical, clientAddress };
  await refuseLocked(trx, context, row, delivery.kind === "send_code" ? mail : undefined);
  const alive = liveCode(context, row);
  const code = alive ?? freshCode(context.keys, context.policy.enrolment, context.clock.now());
  if (!alive) await replaceCode(trx, context, row.otp_email_id, code);
  const details = await writeEvent(trx, slot, {
    ...request,
    type: "otp_email.code_requested",
    data: { otp_email_id: row.otp_email_id, verification: delivery.kind, fresh: !alive },
  });
  const issued = { purpose: "enrolment", orgId, code, delivery, clientAddress } as const;
  await enqueueIfMailed(trx, context, row, issued);
  return { code, details };
}

async function replaceCode(trx: Transaction<DB>, context: OTPContext, otpEmailId: string, code: LiveCode) {
  await trx
    .updateTable("otp_emails")
    // Reset the attempts at the code, but not the failures of the authenticator.
    .set({ ...codeColumns(context, code), attempts: 0, change_time: context.clock.now() })
    .where("otp_email_id", "=", otpEmailId)
    .execute();
}

/** The columns of a row with this fresh code, or with none. */
export function codeColumns(context: OTPContext, code: LiveCode | undefined) {
  if (!code) return clearedCode;
  return { code_key_id: context.keys.current.id, code_salt: code.salt, code_expire_time: code.expireTime };
}

export const clearedCode = { code_key_id: null, code_salt: null, code_expire_time: null };
