/**
 * Whether an address is a dot-atom, an @, and a domain name: nothing that any parser could read as more than one address.
 *
 * Whoever made a mail has validated its address. This holds even if not.
 */
export function isMailbox(address: string): boolean {
  return Buffer.byteLength(address) <= 254 && mailbox.test(address);
}

/** Whether the local part is beyond ASCII, so that only a relay with SMTPUTF8 can deliver there (RFC 6531 §3.2). */
export function needsUtf8(address: string): boolean {
  return /\P{ASCII}/u.test(address);
}

/** Beyond ASCII letters, marks and numbers alone, so neither blanks nor what cannot be seen (RFC 6532 §3.1 allows more). */
const mailbox = /^[\w!#$%&'*+/=?^`{|}~.\p{L}\p{M}\p{N}-]+@[A-Za-z\d](?:[A-Za-z\d.-]*[A-Za-z\d])?$/u;
