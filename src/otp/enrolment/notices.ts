import type { Transaction } from "kysely";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { DB } from "../../db/core/schema.ts";
import type { Cause } from "../../events/event.ts";
import { dayMs } from "../../lib/time.ts";
import { enqueueNotice, type NoticeKind } from "../../mail/outbox/enqueue.ts";
import { digestsOf } from "../codes/keyed-digest.ts";
import type { OTPContext } from "../context.ts";
import { consume } from "../limits/sliding-window.ts";

/** A change that the other addresses of the user are notified of. */
export interface Change extends Cause {
  readonly kind: NoticeKind;
  readonly orgId: string;
  readonly userId: string;
  /** The authenticator that changes. */
  readonly otpEmailId: string;
}

/**
 * Queues notices of a change to the user's other verified addresses, in the transaction of the change.
 *
 * Over the daily limit the change succeeds without notices: by then the owner has been warned, and the mailbox must not fill.
 *
 * @returns whether notices were queued. Call `context.mailQueued` after the commit.
 */
export async function enqueueNotices(
  trx: Transaction<DB>,
  context: OTPContext,
  { kind, orgId, userId, otpEmailId, clientAddress }: Change,
): Promise<boolean> {
  const others = await selectOtherVerified(trx, { userId, otpEmailId });
  if (others.length === 0) return false;
  const now = context.clock.now();
  const rateLimit = {
    digests: digestsOf(context.keys, "notices", orgId, userId),
    windows: [{ limit: context.policy.mails.noticesPerDayMax, windowMs: dayMs }],
    slotMs: 1,
  };
  if (await consume(trx, now, [rateLimit])) return false;
  for (const { otp_email_id } of others) {
    await enqueueNotice(trx, now, {
      kind,
      userId,
      otpEmailId: otp_email_id,
      clientAddress: clientAddress ?? null,
      expireTime: now + dayMs,
      messageIdDomain: context.messageIdDomain,
    });
  }
  return true;
}

const selectOtherVerified = prepare((db, param: Param<{ userId: string; otpEmailId: string }>) =>
  db
    .selectFrom("otp_emails")
    .select("otp_email_id")
    .where("user_id", "=", param("userId"))
    .where("verify_time", "is not", null)
    .where("otp_email_id", "!=", param("otpEmailId")),
);
