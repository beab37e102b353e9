import type { MailAddress, OutgoingMail } from "../mailer.ts";

/**
 * Reports whether an address is `dot-atom@domain`, which no parser can take for several addresses or for a command.
 *
 * Addresses are validated when they are stored. This is the last check before they reach a protocol.
 */
export function isMailbox(address: string): boolean {
  return Buffer.byteLength(address) <= 254 && mailbox.test(address);
}

/** Reports whether the local part has non-ASCII characters, which only relays with SMTPUTF8 accept (RFC 6531 §3.2). */
export function needsUtf8(address: string): boolean {
  return /\P{ASCII}/u.test(address);
}

/** Reports whether recipient and return path of a mail are mailboxes. */
export function hasValidEnvelope({ to, envelopeFrom }: OutgoingMail, sender: MailAddress): boolean {
  return isMailbox(to) && isMailbox(envelopeFrom ?? sender.address);
}

/** @throws if the sender is not usable. The message does not quote it. */
export function requireSender({ name, address }: MailAddress): MailAddress {
  if (!isMailbox(address) || needsUtf8(address))
    throw new Error("the sender's address must be a plain one, such as codes@example.com");
  if (/\p{Cc}/u.test(name)) throw new Error("the sender's name must not contain control characters");
  return { name, address };
}

/** Non-ASCII: only letters, marks and numbers, so no blanks or invisible characters (RFC 6532 §3.1 allows more). */
const mailbox = /^[\w!#$%&'*+/=?^`{|}~.\p{L}\p{M}\p{N}-]+@[A-Za-z\d](?:[A-Za-z\d.-]*[A-Za-z\d])?$/u;
