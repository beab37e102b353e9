import type { Transaction } from "kysely";
import type { DB, OTPEmailRow } from "../db/core/schema.ts";
import { enqueue, type NewMail } from "../mail/outbox/enqueue.ts";
import type { CodePurpose } from "./codes/code.ts";
import type { LiveCode } from "./codes/live-code.ts";
import type { OTPContext } from "./context.ts";
import { consumeMail } from "./limits/mail-limits.ts";

/**
 * How a code reaches the user. `urlTemplate` null: the link leads to the service's own page. `language` undefined: the user's
 * preferred language.
 */
export type CodeDelivery =
  | ({ readonly kind: "send_code" } & Pick<NewMail, "urlTemplate" | "language">)
  | { readonly kind: "return_code" };

export interface IssuedCode {
  readonly purpose: CodePurpose;
  readonly orgId: string;
  readonly code: Pick<LiveCode, "salt" | "expireTime">;
  readonly delivery: CodeDelivery;
  readonly clientAddress: string | undefined;
  /** Set if the authenticator is created in the same transaction, so that no other mail to it can exist. */
  readonly isFirst?: boolean;
}

/**
 * Queues the mail of a code, in the transaction that issues the code, and counts it against the mail limits. Does nothing if
 * the code is returned to the caller. Call `context.mailQueued` after the commit.
 *
 * @throws RESOURCE_EXHAUSTED (too many mails).
 */
export async function enqueueIfMailed(
  trx: Transaction<DB>,
  context: OTPContext,
  row: Pick<OTPEmailRow, "user_id" | "otp_email_id" | "address_canonical"> & {
    readonly verify_time?: number | null;
  },
  { purpose, code, delivery, orgId, clientAddress, isFirst }: IssuedCode,
): Promise<void> {
  if (delivery.kind !== "send_code") return;
  await consumeMail(trx, context, {
    orgId,
    userId: row.user_id,
    canonicalAddress: row.address_canonical,
    clientAddress,
    verifyTime: row.verify_time,
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
