import type { Kysely, Transaction } from "kysely";
import { once } from "../../db/core/idempotency.ts";
import type { DB, OutboxRow, SuppressionSource } from "../../db/core/schema.ts";
import { appendEvent } from "../../events/event.ts";
import { markBounced, markDelayed } from "../../mail/outbox/bounce.ts";
import { findMailById, findMailByMessageId } from "../../mail/outbox/find-mail.ts";
import { digestsOf } from "../codes/keyed-digest.ts";
import type { KeyRing } from "../codes/keys.ts";
import { readReturnPath } from "../codes/return-path.ts";
import type { OTPContext } from "../context.ts";
import { saveMailStatus } from "../mail-status.ts";
import { mailEventData } from "./record-settled.ts";
import { isAboutAddress, suppressRecipient } from "./suppressions.ts";

/** Feedback on a mail after it was handed over. `status` is an enhanced status code (RFC 3463). */
export type Feedback =
  | { readonly kind: "failed"; readonly status: string }
  /** The mail may still be delivered. */
  | { readonly kind: "delayed"; readonly status: string }
  /** The recipient marked it as spam. */
  | { readonly kind: "complaint" };

/**
 * What recording a feedback changed.
 *
 * - `suppressed`: the mail bounced, and its address is now suppressed.
 * - `bounced`: the mail bounced, for a reason that is not about its address.
 * - `noted`: only the reason of the mail.
 * - `repeated`: nothing, since earlier feedback counts.
 */
export type Recorded = "suppressed" | "bounced" | "noted" | "repeated";

/** Actor of the events that feedback causes. */
const reporter = "urn:countersign:bounces";

/** What a notification says about which mail it means. Untrusted. */
export interface MailReferences {
  /** Addresses, one of which may be the return path of the mail. */
  readonly recipients: readonly string[];
  /** With their angle brackets. */
  readonly messageIds: readonly string[];
}

/**
 * Finds the mail that a notification is about. A return path counts only with a valid MAC. A Message-ID is random, so only
 * parties that handled the mail know it.
 */
export async function findReportedMail(
  db: Kysely<DB>,
  keys: KeyRing,
  { recipients, messageIds }: MailReferences,
): Promise<OutboxRow | undefined> {
  for (const recipient of recipients) {
    const mailId = readReturnPath(keys, recipient);
    if (mailId !== undefined) return findMailById(db, mailId);
  }
  for (const messageId of messageIds) {
    const mail = await findMailByMessageId(db, messageId);
    if (mail) return mail;
  }
  return undefined;
}

/**
 * Records feedback on a mail. A bounced mail has failed; a permanent status about the address, or a complaint, also
 * suppresses the address. Only the first bounce or complaint about a mail counts.
 */
export async function recordFeedback(
  trx: Transaction<DB>,
  context: Pick<OTPContext, "clock" | "keys">,
  mail: OutboxRow,
  feedback: Feedback,
  source: SuppressionSource,
): Promise<Recorded> {
  if (feedback.kind === "delayed") {
    const delayed = await markDelayed(trx, mail.mail_id, `delayed ${feedback.status}`);
    if (delayed) await saveMailStatus(trx, delayed);
    return delayed ? "noted" : "repeated";
  }
  const isBounce = feedback.kind === "failed";
  const status = isBounce ? feedback.status : "complaint";
  const reason = isBounce ? `bounce ${status}` : undefined;
  const reported = await markBounced(trx, context.clock.now(), mail.mail_id, reason);
  if (!reported) return "repeated";
  if (isBounce) await saveMailStatus(trx, reported);
  await appendEvent(trx, context.clock, {
    actor: reporter,
    userId: mail.user_id,
    type: isBounce ? "mail.bounced" : "mail.complained",
    data: { ...(await mailEventData(trx, reported)), reason: status },
  });
  if (isBounce && !isAboutAddress(status)) return "bounced";
  await suppressRecipient(trx, context, mail, { status, source });
  return "suppressed";
}

/**
 * Records the feedback of a provider once per webhook id, so that a repeated delivery changes nothing. Ignores unknown
 * Message-IDs.
 */
export async function recordProviderFeedback(
  context: Pick<OTPContext, "store" | "clock" | "keys">,
  webhookId: string,
  messageId: string,
  feedback: Feedback,
): Promise<void> {
  const { store, clock, keys } = context;
  const mail = await findMailByMessageId(store.db, messageId);
  if (!mail) return;
  // The id alone is the request: a second webhook with the same id is a repetition, whatever it says.
  const digests = digestsOf(keys, "bounce_webhook", webhookId);
  const key = { digests, requestDigests: digests };
  await store.write((trx) =>
    once(trx, clock, key, async () => {
      await recordFeedback(trx, context, mail, feedback, "webhook");
      return { reply: {}, made: undefined };
    }),
  );
}
