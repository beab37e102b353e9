import type { Transaction } from "kysely";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { DB, OutboxRow } from "../../db/core/schema.ts";
import { appendEvent, type EventType } from "../../events/event.ts";
import type { OTPContext } from "../context.ts";
import { type FinalStatus, finalStatus } from "../mail-status.ts";
import { refusedAddressStatus, suppress } from "./suppressions.ts";

/** Who stands in the trail for the part of the service that hands mails over. */
const courier = "urn:countersign:courier";

const eventTypes: Readonly<Record<FinalStatus, EventType>> = {
  sent: "mail.sent",
  failed: "mail.failed",
  suppressed: "mail.suppressed",
};

/**
 * Writes what came of a mail to the trail of its user, in the transaction that settles it: once a mail, and never for an
 * attempt that is made again. An address that the relay does not know is suppressed.
 */
export async function recordSettled(
  trx: Transaction<DB>,
  context: Pick<OTPContext, "clock" | "keys">,
  mail: OutboxRow,
): Promise<void> {
  const state = finalStatus(mail);
  if (state === undefined) return;
  await appendEvent(trx, context.clock, {
    actor: courier,
    userId: mail.user_id,
    type: eventTypes[state],
    data: await mailEventData(trx, mail),
  });
  const status = state === "failed" ? refusedAddressStatus(mail.reason) : undefined;
  if (status === undefined) return;
  const otpEmail = await trx
    .selectFrom("otp_emails")
    .select(["otp_email_id", "address_canonical"])
    .where("otp_email_id", "=", mail.otp_email_id)
    .executeTakeFirstOrThrow();
  await suppress(trx, context, otpEmail, { status, source: "relay" });
}

/** What an event tells of a mail: ids, what it was for, and why it came to nothing. No address. */
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
