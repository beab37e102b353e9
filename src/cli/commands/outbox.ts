import { isId } from "../../db/core/id.ts";
import type { MailState } from "../../db/core/schema.ts";
import { maskAddress } from "../../lib/mask-address.ts";
import { listMails } from "../../mail/outbox/list-mails.ts";
import { failedMails, type Retried, retryMail } from "../../otp/delivery/retry.ts";
import { oneOf, UsageError, wholeNumber } from "../arguments.ts";
import { defineCommand } from "../command.ts";
import { exitCodes } from "../exit-codes.ts";
import { type Operator, openOperator } from "../operator.ts";
import { formatTable, formatTime } from "../table.ts";

const mailStates: readonly MailState[] = ["queued", "sent", "failed", "dropped"];

export const outboxList = defineCommand({
  name: "outbox list",
  usage: "",
  help: "Print mails, latest first.",
  options: {
    state: {
      type: "string",
      placeholder: "STATE",
      help: `Only mails in this state: ${mailStates.join(", ")}`,
    },
    org: { type: "string", placeholder: "ORG", help: "Only mails of this organization" },
    limit: { type: "string", placeholder: "N", default: "50", help: "How many" },
    before: { type: "string", placeholder: "MAIL", help: "Only mails older than this one: the next page" },
    addresses: { type: "boolean", help: "Show addresses in full" },
  },
  async run({ values: { state, org: orgId, limit, before, addresses = false } }) {
    if (before !== undefined && !isId(before)) throw new UsageError("--before must be the id of a mail");
    const options = {
      state: state === undefined ? undefined : oneOf("--state", state, mailStates),
      orgId,
      before,
      limit: wholeNumber("--limit", limit, 1, 9_999),
      addresses,
    };
    await using operator = await openOperator();
    console.log(await describeMails(operator, options));
    return exitCodes.ok;
  },
});

export const outboxRetry = defineCommand({
  name: "outbox retry",
  usage: "[MAIL]",
  help: "Queue a failed mail again while its code is valid. Exit code 1 if a mail is not queued.",
  options: {
    "all-failed": { type: "boolean", help: "Queue all failed mails again, instead of one" },
  },
  async run({ values, argument: mailId }) {
    if ((mailId === undefined) !== (values["all-failed"] ?? false)) {
      throw new UsageError("name one mail, or use --all-failed: countersign outbox retry MAIL");
    }
    await using operator = await openOperator();
    const outcomes = mailId === undefined ? retryAllFailed(operator) : [retryOne(operator, mailId)];
    return await printRetries(outcomes);
  },
});

interface ListOptions {
  readonly state: MailState | undefined;
  readonly orgId: string | undefined;
  readonly before: string | undefined;
  readonly limit: number;
  /** Whether addresses are shown in full. */
  readonly addresses: boolean;
}

/** A page of mails as a table, latest first, and how to get the next page. */
async function describeMails(
  { store }: Pick<Operator, "store">,
  { limit, addresses, ...wanted }: ListOptions,
): Promise<string> {
  const found = await listMails(store.db, { ...wanted, limit: limit + 1 });
  if (found.length === 0) return "no mails found";
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
  dead: "not queued: its code is no longer valid. The user can request a new one",
  "not active": "not queued: its user is not active",
  suppressed: "not queued: its address is suppressed. countersign suppression release ends that",
  waiting: "not queued: a mail with the same code is waiting, or the code is no longer valid",
};

interface RetryOutcome {
  readonly line: string;
  readonly isQueued: boolean;
}

async function retryOne(operator: Operator, mailId: string): Promise<RetryOutcome> {
  const retried = await retryMail(operator, mailId);
  return { line: `${mailId} ${outcomes[retried]}`, isQueued: retried === "queued" };
}

/** How many mails are looked up at a time. */
const batchSize = 100;

/** Retries each failed mail whose code hasn't expired. */
async function* retryAllFailed(operator: Operator): AsyncGenerator<RetryOutcome> {
  let after = "0";
  for (;;) {
    const mailIds = await failedMails(operator, { after, limit: batchSize });
    for (const mailId of mailIds) yield retryOne(operator, mailId);
    const last = mailIds.at(-1);
    if (last === undefined) return;
    after = last;
  }
}

/** Prints the outcomes as they come. Returns the exit code. */
async function printRetries(
  outcomes: AsyncIterable<RetryOutcome> | Promise<RetryOutcome>[],
): Promise<number> {
  let count = 0;
  let isEachQueued = true;
  for await (const { line, isQueued } of outcomes) {
    console.log(line);
    count++;
    isEachQueued &&= isQueued;
  }
  if (count === 0) console.log("there is no failed mail whose code may still be valid");
  return isEachQueued ? exitCodes.ok : exitCodes.failed;
}
