import { timingSafeEqual } from "node:crypto";
import type { CodePurpose } from "./code.ts";
import type { CodeKey, KeyRing } from "./keys.ts";
import { macOf } from "./mac.ts";

/** Which mail a link stands in. */
export type MailHandle =
  | {
      readonly purpose: "enrolment";
      readonly otpEmailId: string;
      /** The salt of the code in the mail, which tells it from other codes of the authenticator: in base64url. */
      readonly codeSalt: string;
    }
  | {
      readonly purpose: "login";
      /** A challenge has one code. */
      readonly challengeId: string;
    };

/**
 * What is in the link of a mail, and in no table: the mail it stands in, and 128 bits that only a holder of the key can
 * make. It says nothing of the code, the user or the address.
 */
export function makeMailHandle(keys: KeyRing, handle: MailHandle): string {
  const fields = handle.purpose === "login" ? [handle.challengeId] : [handle.otpEmailId, handle.codeSalt];
  const key = keys.current;
  return [handle.purpose, key.id, ...fields, macText(key, labelOf(handle.purpose), fields)].join("~");
}

/** The mail of a handle, or undefined if it was not made here. That takes no look at the database. */
export function readMailHandle(keys: KeyRing, handle: string): MailHandle | undefined {
  const [purpose = "", keyId = "", ...fields] = handle.split("~");
  const mac = fields.pop() ?? "";
  const key = keys.get(keyId);
  if (!key || !isMac(mac, macText(key, labelOf(purpose), fields))) return readReportHandle(keys, handle);
  // Only what was written here has come so far.
  const [id = "", codeSalt = ""] = fields;
  return purpose === "login"
    ? { purpose, challengeId: id }
    : { purpose: "enrolment", otpEmailId: id, codeSalt };
}

/** What a handle says it is for, be it true or not: whoever forges one sees the same page. */
export function claimedPurpose(handle: string): CodePurpose {
  return handle === "" || handle.startsWith("enrolment~") ? "enrolment" : "login";
}

/** From mails that were sent before there was one link for all: only to say "this wasn't me". */
function readReportHandle(keys: KeyRing, handle: string): MailHandle | undefined {
  const [keyId = "", challengeId = "", mac = "", ...more] = handle.split("~");
  const key = keys.get(keyId);
  if (!key || more.length > 0) return undefined;
  if (!isMac(mac, macText(key, "countersign/report/v1", [challengeId]))) return undefined;
  return { purpose: "login", challengeId };
}

/** Keeps the handles of each purpose apart, and from everything else that the key derives. */
function labelOf(purpose: string): string {
  return `countersign/mail-handle/v1/${purpose}`;
}

const macBytes = 16;

function macText(key: CodeKey, label: string, fields: readonly string[]): string {
  return macOf(key, label, fields, macBytes).toString("base64url");
}

/** The text itself is compared: base64url has more than one way to write the last bits. */
function isMac(given: string, right: string): boolean {
  const bytes = Buffer.from(given);
  return bytes.length === right.length && timingSafeEqual(bytes, Buffer.from(right));
}
