import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import { readDeliveryReport } from "../mail/reports/delivery-report.ts";
import { readMessages } from "../mail/reports/mbox.ts";
import { findReportedMail, type Recorded, recordFeedback } from "../otp/delivery/bounces.ts";
import type { Operator } from "./operator.ts";

/** Messages by what was done with them. `ignored` are no reports, or reports about mails that aren't ours. */
type BounceCounts = Record<Recorded | "ignored", number>;

/**
 * Records each delivery status notification with the mail that it is about. Reading the same file again changes nothing.
 *
 * @param path of a message or an mbox file. Undefined: standard input.
 * @throws if the file can't be read, or the database doesn't answer.
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

export function describeBounces(counts: BounceCounts): string {
  const { suppressed, bounced, noted, repeated, ignored } = counts;
  const messages = suppressed + bounced + noted + repeated + ignored;
  return (
    `${messages} ${messages === 1 ? "message" : "messages"}: ${suppressed + bounced} bounced (${suppressed} of them ` +
    `suppressed their address), ${noted} delayed, ${repeated} recorded before, ${ignored} not about a mail of this service`
  );
}
