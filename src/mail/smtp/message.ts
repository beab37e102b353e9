import DKIM from "nodemailer/lib/dkim";
import { foldLines } from "nodemailer/lib/mime-funcs";
import MimeNode from "nodemailer/lib/mime-node";
import { encode, wrap } from "nodemailer/lib/qp";
import type { DkimSettings, MailAddress, OutgoingMail } from "../mailer.ts";

/** Can't occur in quoted-printable text, where "=" precedes a hex digit or the end of the line (RFC 2045 §6.7). */
const boundary = "=_countersign";

const encoder = new MimeNode(undefined, { textEncoding: "Q" });

/**
 * Serializes a mail (RFC 5322). The result is the same for each attempt. Addresses are passed to nodemailer as objects,
 * because it parses strings.
 *
 * Both parts are quoted-printable: base64 hides the text from spam filters and from people who read the source. They are
 * encoded synchronously, which is faster than nodemailer's streams (see docs/performance.md).
 */
export function writeMessage(from: MailAddress, mail: OutgoingMail): Buffer {
  const parts = [part("text/plain", mail.text)];
  // A custom template may have no HTML.
  if (mail.html !== "") parts.push(part("text/html", mail.html));
  const lines = [
    header("From", from),
    header("To", { name: "", address: mail.to }),
    header("Subject", mail.subject),
    header("Message-ID", mail.messageId),
    header("Date", mail.date),
    header("Auto-Submitted", "auto-generated"),
    ...(mail.language ? [header("Content-Language", mail.language)] : []),
    "MIME-Version: 1.0",
    ...body(parts),
  ];
  const message = lines.join("\r\n");
  return Buffer.from(message.endsWith("\r\n") ? message : `${message}\r\n`);
}

/** Encodes the value of a header field. Line breaks are removed, so that no value can add a field. */
export function headerValue(key: string, value: string | Date | MailAddress): string {
  // nodemailer normalizes an address in place, so pass a copy.
  const own = typeof value === "object" && !(value instanceof Date) ? { ...value } : value;
  return encoder.encodeHeaderValue(key, own);
}

/** Creates a signer of messages (RFC 6376). */
export function createDkim(settings: DkimSettings): DKIM {
  return new DKIM(toNodemailerDkim(settings));
}

export function toNodemailerDkim({ domain, selector, privateKey }: DkimSettings) {
  return { domainName: domain, keySelector: selector, privateKey };
}

function header(key: string, value: string | Date | MailAddress): string {
  return foldLines(`${key}: ${headerValue(key, value)}`);
}

/** Joins the parts as `multipart/alternative`, or returns a single part as is. Each part includes its headers. */
function body([first = [], ...others]: readonly string[][]): string[] {
  if (others.length === 0) return first;
  const delimiter = `--${boundary}`;
  return [
    `Content-Type: multipart/alternative; boundary="${boundary}"`,
    "",
    ...[first, ...others].flatMap((part) => [delimiter, ...part]),
    `${delimiter}--`,
  ];
}

function part(type: string, text: string): string[] {
  return [
    `Content-Type: ${type}; charset=utf-8`,
    "Content-Transfer-Encoding: quoted-printable",
    "",
    wrap(quotedPrintable(text.replace(/\r\n?|\n/g, "\r\n"))),
  ];
}

/** Encodes as in RFC 2045 §6.7, without wrapping. In plain ASCII text only "=" needs encoding. */
function quotedPrintable(text: string): string {
  return /^[\r\n -~]*$/.test(text) && !/ (\r|$)/.test(text) ? text.replaceAll("=", "=3D") : encode(text);
}
