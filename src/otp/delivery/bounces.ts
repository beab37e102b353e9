import type { Kysely, Transaction } from "kysely";
import type { DB, OutboxRow, SuppressionSource } from "../../db/core/schema.ts";
import { appendEvent } from "../../events/event.ts";
import { once } from "../../lib/idempotency.ts";
import { digestsOf } from "../codes/keyed-digest.ts";
import type { KeyRing } from "../codes/keys.ts";
import { readReturnPath } from "../codes/return-path.ts";
import type { OTPContext } from "../context.ts";
import { saveMailStatus } from "../mail-status.ts";
import { mailEventData } from "./record-settled.ts";
import { isAboutAddress, suppressRecipient } from "./suppressions.ts";

/** What is heard of a mail after it was handed over. `status` is an enhanced status code (RFC 3463). */
export type Report =
  | { readonly kind: "failed"; readonly status: string }
  /** It is on its way still. */
  | { readonly kind: "delayed"; readonly status: string }
  /** Its reader called it spam. */
  | { readonly kind: "complaint" };

/**
 * - `bounced`: and its address is `suppressed`, or not.
 * - `noted`: nothing but the reason changes.
 * - `repeated`: the mail had been reported before, which is what counts.
 */
export type Reported = "suppressed" | "bounced" | "noted" | "repeated";

/** Who stands in the trail for whoever reports. */
const reporter = "urn:countersign:bounces";

/** The names that a mail may be known by, from outside. */
export interface MailNames {
  /** Addresses, of which one may be the return path of the mail. */
  readonly recipients: readonly string[];
  /** With their angle brackets. */
  readonly messageIds: readonly string[];
}

/**
 * The mail that a notification is about. An id is believed only with its MAC; a Message-ID is random, and so known to
 * those alone who handled the mail.
 */
export async function findReportedMail(
  db: Kysely<DB>,
  keys: KeyRing,
  { recipients, messageIds }: MailNames,
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

export function findMailByMessageId(db: Kysely<DB>, messageId: string): Promise<OutboxRow | undefined> {
  return db.selectFrom("outbox").selectAll().where("message_id", "=", messageId).executeTakeFirst();
}

function findMailById(db: Kysely<DB>, mailId: string): Promise<OutboxRow | undefined> {
  return db.selectFrom("outbox").selectAll().where("mail_id", "=", mailId).executeTakeFirst();
}

/**
 * Records what is heard of a mail that was handed over. One that came back has failed, for whoever asks for its delivery; if
 * that is for good and because of the address, nothing more is sent there for a while. A mail that still waits, because
 * nobody could say whether it was taken, is not sent again.
 */
export async function recordReport(
  trx: Transaction<DB>,
  context: Pick<OTPContext, "clock" | "keys">,
  mail: OutboxRow,
  report: Report,
  source: SuppressionSource,
): Promise<Reported> {
  if (report.kind === "delayed")
    return (await note(trx, mail, `delayed ${report.status}`)) ? "noted" : "repeated";
  const now = context.clock.now();
  const failed = report.kind === "failed" && {
    state: "failed" as const,
    reason: `bounce ${report.status}`,
    settle_time: now,
    lease_id: null,
    lease_until: null,
  };
  const reported = await trx
    .updateTable("outbox")
    .set({ bounce_time: now, ...failed })
    .where("mail_id", "=", mail.mail_id)
    .where("bounce_time", "is", null)
    .returningAll()
    .executeTakeFirst();
  if (!reported) return "repeated";
  if (report.kind === "failed") await saveMailStatus(trx, reported);

  const status = report.kind === "failed" ? report.status : report.kind;
  await appendEvent(trx, context.clock, {
    actor: reporter,
    userId: mail.user_id,
    type: report.kind === "failed" ? "mail.bounced" : "mail.complained",
    data: { ...(await mailEventData(trx, reported)), reason: status },
  });
  if (report.kind === "failed" && !isAboutAddress(status)) return "bounced";
  await suppressRecipient(trx, context, mail, { status, source });
  return "suppressed";
}

/**
 * Records the report of a provider once for the id of its webhook: sent again, it changes nothing, and neither does one with
 * a Message-ID that is none of ours.
 */
export async function recordProviderReport(
  context: Pick<OTPContext, "store" | "clock" | "keys">,
  webhookId: string,
  messageId: string,
  report: Report,
): Promise<void> {
  const { store, clock, keys } = context;
  const mail = await findMailByMessageId(store.db, messageId);
  if (!mail) return;
  // What a webhook says is under its id: whoever signs two things with one id has said the first.
  const digests = digestsOf(keys, "bounce_webhook", webhookId);
  const key = { digests, requestDigests: digests };
  await store.write((trx) =>
    once(trx, clock, key, async () => {
      await recordReport(trx, context, mail, report, "webhook");
      return { reply: {}, made: undefined };
    }),
  );
}

/** Keeps a word on a mail that was sent, unless it has come back. */
async function note(trx: Transaction<DB>, mail: OutboxRow, reason: string): Promise<boolean> {
  const noted = await trx
    .updateTable("outbox")
    .set({ reason })
    .where("mail_id", "=", mail.mail_id)
    .where("state", "=", "sent")
    .where("bounce_time", "is", null)
    .returningAll()
    .executeTakeFirst();
  if (noted) await saveMailStatus(trx, noted);
  return noted !== undefined;
}
