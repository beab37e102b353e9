import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import { readDeliveryReport } from "../../mail/reports/delivery-report.ts";
import { readMessages } from "../../mail/reports/mbox.ts";
import { findReportedMail, type Recorded, recordFeedback } from "../../otp/delivery/bounces.ts";
import type { Operator } from "../operator.ts";

/** How many messages ended in what. `ignored`: no report, or one of no mail of ours. */
export type BounceCounts = Record<Recorded | "ignored", number>;

/**
 * What `countersign bounce` does: takes the delivery status notifications out of a message or an mbox file and records each
 * with the mail that it is about. To read the same file again changes nothing.
 *
 * @param path of the file, or undefined for standard input.
 * @throws if the file cannot be read, or the database does not answer.
 */
export async function readBounces(operator: Operator, path: string | undefined): Promise<BounceCounts> {
  const counts: BounceCounts = { suppressed: 0, bounced: 0, noted: 0, repeated: 0, ignored: 0 };
  const input: Readable = path === undefined ? process.stdin : createReadStream(path);
  for await (const message of readMessages(input)) counts[await recordMessage(operator, message)]++;
  return counts;
}

async function recordMessage(operator: Operator, message: Buffer): Promise<Recorded | "ignored"> {
  const report = await readDeliveryReport(message);
  const { store, keys } = operator;
  const mail = report && (await findReportedMail(store.db, keys, report));
  if (!mail) return "ignored";
  return store.write((trx) => recordFeedback(trx, operator, mail, report, "notification"));
}

/** One line for a person or a log. */
export function describeBounces(counts: BounceCounts): string {
  const { suppressed, bounced, noted, repeated, ignored } = counts;
  const messages = suppressed + bounced + noted + repeated + ignored;
  return (
    `${messages} ${messages === 1 ? "message" : "messages"}: ${suppressed + bounced} came back (${suppressed} of them ` +
    `suppressed their address), ${noted} are delayed, ${repeated} were known, ${ignored} are about no mail of this service`
  );
}
