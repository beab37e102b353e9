import type { Transaction } from "kysely";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { DB } from "../../db/core/schema.ts";
import type { Cause } from "../../events/event.ts";
import { enqueueNotice, type NoticeKind } from "../../mail/outbox/enqueue.ts";
import { digestsOf } from "../codes/keyed-digest.ts";
import type { OTPContext } from "../context.ts";
import { takeHit } from "../limits/sliding-window.ts";
import { dayMs } from "../policy.ts";

export interface Change extends Cause {
  readonly kind: NoticeKind;
  readonly orgId: string;
  readonly userId: string;
  /** The authenticator that changes. */
  readonly otpEmailId: string;
}

/**
 * Tells the other verified addresses of a user that an authenticator changes, in the transaction of the change.
 *
 * Beyond the limit of a day the change goes on without: whoever makes so many has warned the owner already, and must not
 * be able to fill the mailbox.
 *
 * @returns whether there are any: then `mailQueued` is to be called after the commit.
 */
export async function enqueueNotices(
  trx: Transaction<DB>,
  context: OTPContext,
  { kind, orgId, userId, otpEmailId, clientAddress }: Change,
): Promise<boolean> {
  const others = await selectOtherVerified(trx, { userId, otpEmailId });
  if (others.length === 0) return false;
  const now = context.clock.now();
  const log = {
    digests: digestsOf(context.keys, "notices", orgId, userId),
    limits: [{ most: context.policy.mails.noticesPerDayMax, windowMs: dayMs }],
    slotMs: 1,
  };
  if (await takeHit(trx, now, [log])) return false;
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
