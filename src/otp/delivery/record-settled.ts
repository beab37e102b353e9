import type { Transaction } from "kysely";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { DB, OutboxRow } from "../../db/core/schema.ts";
import { appendEvent, type EventType } from "../../events/event.ts";
import type { OTPContext } from "../context.ts";
import { type FinalStatus, finalStatus, saveMailStatus } from "../mail-status.ts";
import { refusedAddressStatus, suppressRecipient } from "./suppressions.ts";

/** Actor of the events that the courier causes. */
const courier = "urn:countersign:courier";

const eventTypes: Readonly<Record<FinalStatus, EventType>> = {
  sent: "mail.sent",
  failed: "mail.failed",
  suppressed: "mail.suppressed",
};

/**
 * Records the final status of a mail, in the transaction that settles it: with its authenticator and challenge, and as an
 * event. If the relay refused the recipient, suppresses the address. Does nothing for a mail that will be tried again.
 */
export async function recordSettled(
  trx: Transaction<DB>,
  context: Pick<OTPContext, "clock" | "keys">,
  mail: OutboxRow,
): Promise<void> {
  const final = finalStatus(mail);
  if (final === undefined) return;
  await saveMailStatus(trx, mail);
  await appendEvent(trx, context.clock, {
    actor: courier,
    userId: mail.user_id,
    type: eventTypes[final],
    data: await mailEventData(trx, mail),
  });
  const status = final === "failed" ? refusedAddressStatus(mail.reason) : undefined;
  if (status !== undefined) await suppressRecipient(trx, context, mail, { status, source: "relay" });
}

/** Data of an event about a mail. Contains ids, purpose and reason, but no address. */
export async function mailEventData(trx: Transaction<DB>, mail: OutboxRow): Promise<Record<string, string>> {
  const [challenge] = mail.purpose === "login" ? await selectMailedChallenge(trx, mail) : [];
  return {
    otp_email_id: mail.otp_email_id,
    mail_id: mail.mail_id,
    purpose: mail.purpose,
    ...(challenge && { challenge_id: challenge.challenge_id }),
    ...(mail.reason !== null && { reason: mail.reason }),
  };
}

const selectMailedChallenge = prepare((db, param: Param<OutboxRow>) =>
  db
    .selectFrom("challenges")
    .select("challenge_id")
    .where("otp_email_id", "=", param("otp_email_id"))
    .where("code_salt", "=", param("code_salt")),
);
