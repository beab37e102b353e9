import { createPrivateKey } from "node:crypto";
import * as v from "valibot";
import { parseEmailAddress } from "../lib/email-address.ts";
import type { MailAddress } from "../mail/mailer.ts";
import { isFetchable } from "../mail/providers/provider-url.ts";

/** `Name <address>`, or an address alone. */
export const mailFrom = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }): MailAddress => {
    const match = /^(?:([^<>"\r\n]*)<([^<>]+)>|([^<>\s]+))$/.exec(dataset.value.trim());
    const parsed = parseEmailAddress(match?.[2] ?? match?.[3] ?? "");
    if (parsed.ok) return { name: match?.[1]?.trim() ?? "", address: parsed.address.mailbox };
    addIssue({ message: "must be an address such as codes@example.com or Example <codes@example.com>" });
    return NEVER;
  }),
);

/** An https URL, or an http URL of this machine. */
export const tokenUrl = v.pipe(
  v.string(),
  v.check(
    (value) => URL.canParse(value) && isFetchable(new URL(value)),
    "must be an https URL without a password (http for loopback hosts only)",
  ),
);

export const dkimDomain = v.pipe(
  v.string(),
  v.regex(
    /^[a-z\d](?:[a-z\d.-]*[a-z\d])?$/,
    "must be a domain in lower case (A-labels), such as example.com",
  ),
);

export const dkimSelector = v.pipe(
  v.string(),
  v.regex(/^[a-z\d](?:[a-z\d.-]*[a-z\d])?$/i, "must be letters, digits, dots and dashes, such as mail2026"),
);

/** RFC 8301 §3.2: signers use RSA keys of at least 2048 bits. Nodemailer lacks Ed25519 (RFC 8463). */
export const dkimKey = v.pipe(
  v.string(),
  v.check(isDkimKey, "must be a private RSA key of at least 2048 bits in PEM: openssl genrsa 2048 makes one"),
);

function isDkimKey(pem: string): boolean {
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = createPrivateKey(pem);
    return asymmetricKeyType === "rsa" && (asymmetricKeyDetails?.modulusLength ?? 0) >= 2048;
  } catch {
    return false;
  }
}
