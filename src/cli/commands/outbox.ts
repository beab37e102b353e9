import type { MailState } from "../../db/core/schema.ts";
import { maskAddress } from "../../lib/mask-address.ts";
import { listMails } from "../../mail/outbox/list-mails.ts";
import { failedMails, type Retried, retryMail } from "../../otp/delivery/retry.ts";
import type { Operator } from "../operator.ts";
import { formatTable, formatTime } from "../table.ts";

export const mailStates: readonly MailState[] = ["queued", "sent", "failed", "dropped"];

export interface ListOptions {
  readonly state: MailState | undefined;
  readonly orgId: string | undefined;
  readonly before: string | undefined;
  readonly limit: number;
  /** Whether addresses are shown as a whole. */
  readonly addresses: boolean;
}

/** What `countersign outbox list` prints: a page of mails, the latest first, and how to go on. */
export async function describeMails(
  { store }: Pick<Operator, "store">,
  { limit, addresses, ...wanted }: ListOptions,
): Promise<string> {
  const found = await listMails(store.db, { ...wanted, limit: limit + 1 });
  if (found.length === 0) return "there is no such mail";
  const page = found.slice(0, limit);
  const table = formatTable(
    [
      "MAIL",
      "PURPOSE",
      "STATE",
      "ADDRESS",
      "ORG",
      "ATTEMPTS",
      "REASON",
      "CREATED",
      "SETTLED",
      "CODE EXPIRES",
    ],
    page.map((mail) => [
      mail.mailId,
      mail.purpose,
      mail.state,
      addresses ? mail.address : maskAddress(mail.address),
      mail.orgId,
      String(mail.attempts),
      mail.reason ?? "",
      formatTime(mail.createTime),
      formatTime(mail.settleTime),
      formatTime(mail.expireTime),
    ]),
  );
  const last = page.at(-1);
  return found.length > limit && last ? `${table}\nmore: --before ${last.mailId}` : table;
}

const outcomes: Readonly<Record<Retried, string>> = {
  queued: "queued again",
  unknown: "not queued: there is no such mail",
  "not failed": "not queued: it has not failed",
  dead: "not queued: its code is dead. A new one can be asked for",
  "not active": "not queued: its user is not active",
  suppressed: "not queued: its address is suppressed. countersign suppression release ends that",
  waiting: "not queued: a mail with its code waits already, or the code has died",
};

export interface RetryOutcome {
  readonly line: string;
  readonly isQueued: boolean;
}

/** Queues one mail again, and says what came of it. */
export async function retryOne(operator: Operator, mailId: string): Promise<RetryOutcome> {
  const retried = await retryMail(operator, mailId);
  return { line: `${mailId} ${outcomes[retried]}`, isQueued: retried === "queued" };
}

/** How many mails are looked for in one go. */
const batchSize = 100;

/** The same for each mail that has failed, unless the time of its code has passed. */
export async function* retryAllFailed(operator: Operator): AsyncGenerator<RetryOutcome> {
  let after = "0";
  for (;;) {
    const mailIds = await failedMails(operator, { after, limit: batchSize });
    for (const mailId of mailIds) yield retryOne(operator, mailId);
    const last = mailIds.at(-1);
    if (last === undefined) return;
    after = last;
  }
}
