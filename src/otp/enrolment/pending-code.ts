import type { Transaction } from "kysely";
import { random128 } from "../../db/core/id.ts";
import type { DB, OTPEmailRow } from "../../db/core/schema.ts";
import { type Cause, type Details, type Place, writeEvent } from "../../events/event.ts";
import { enqueue, type NewMail } from "../../mail/outbox/enqueue.ts";
import type { CodePurpose } from "../codes/code.ts";
import type { OTPContext } from "../context.ts";
import { refuseLocked } from "../limits/lock.ts";
import { takeMail } from "../limits/mail-limits.ts";
import { type LiveCode, liveCode } from "./live-code.ts";

/**
 * How a code comes to the user. `urlTemplate` null: the link leads to the service's own page. `language` undefined: the
 * user's own.
 */
export type CodeDelivery =
  | ({ readonly kind: "send_code" } & Pick<NewMail, "urlTemplate" | "language">)
  | { readonly kind: "return_code" };

/**
 * Asks once more for the code of an authenticator that waits to be verified: the same while it lives, otherwise a fresh
 * one. Neither brings new attempts at the authenticator.
 *
 * @param place where it stands in the trail.
 * @throws RESOURCE_EXHAUSTED while the authenticator is locked, or after too many mails.
 */
export async function renewCode(
  trx: Transaction<DB>,
  context: OTPContext,
  row: OTPEmailRow,
  request: Cause & { readonly orgId: string; readonly delivery: CodeDelivery },
  place: Place,
): Promise<{ code: LiveCode; details: Details }> {
  const { user_id: userId, address_canonical: canonicalAddress } = row;
  await refuseLocked(trx, context, row, { ...request, userId, canonicalAddress });
  const alive = liveCode(context, row);
  const code = alive ?? freshCode(context);
  if (!alive) await replaceCode(trx, context, row.otp_email_id, code);
  const details = await writeEvent(trx, place, {
    ...request,
    type: "otp_email.code_requested",
    data: { otp_email_id: row.otp_email_id, verification: request.delivery.kind, fresh: !alive },
  });
  await enqueueIfMailed(trx, context, row, { ...request, purpose: "enrolment", code });
  return { code, details };
}

async function replaceCode(trx: Transaction<DB>, context: OTPContext, otpEmailId: string, code: LiveCode) {
  await trx
    .updateTable("otp_emails")
    // The attempts at a code go with it. Those at the authenticator stay.
    .set({ ...codeColumns(context, code), attempts: 0, change_time: context.clock.now() })
    .where("otp_email_id", "=", otpEmailId)
    .execute();
}

export function freshCode(context: OTPContext): LiveCode {
  return {
    secret: context.keys.current.secret,
    salt: random128(),
    expireTime: context.clock.now() + context.policy.enrolment.codeTtlMs,
  };
}

/** What a row holds of its fresh code, or of none. */
export function codeColumns(context: OTPContext, code: LiveCode | undefined) {
  if (!code) return noCode;
  return { code_key_id: context.keys.current.id, code_salt: code.salt, code_expire_time: code.expireTime };
}

export const noCode = { code_key_id: null, code_salt: null, code_expire_time: null };

export interface MailedCode extends Cause {
  readonly purpose: CodePurpose;
  readonly orgId: string;
  readonly code: Pick<LiveCode, "salt" | "expireTime">;
  readonly delivery: CodeDelivery;
  /** Whether the authenticator is made in this transaction. */
  readonly isFirst?: boolean;
}

/**
 * Queues the mail of a code in the transaction that asks for it, to be followed by `mailQueued` after the commit. Every
 * mail of a code comes this way, the first and each further one.
 *
 * @throws RESOURCE_EXHAUSTED (too many mails).
 */
export async function enqueueIfMailed(
  trx: Transaction<DB>,
  context: OTPContext,
  row: Pick<OTPEmailRow, "user_id" | "otp_email_id" | "address_canonical">,
  { purpose, code, delivery, orgId, clientAddress, isFirst }: MailedCode,
): Promise<void> {
  if (delivery.kind !== "send_code") return;
  await takeMail(trx, context, {
    orgId,
    userId: row.user_id,
    canonicalAddress: row.address_canonical,
    clientAddress,
  });
  await enqueue(trx, context.clock.now(), {
    purpose,
    userId: row.user_id,
    otpEmailId: row.otp_email_id,
    codeSalt: code.salt,
    urlTemplate: delivery.urlTemplate,
    language: delivery.language,
    expireTime: code.expireTime,
    messageIdDomain: context.messageIdDomain,
    isFirst,
  });
}
