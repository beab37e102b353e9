import { timingSafeEqual } from "node:crypto";
import type { CodePurpose } from "./code.ts";
import type { CodeKey, KeyRing } from "./keys.ts";
import { macOf } from "./mac.ts";

/** Identifies the mail that a link was sent in. */
export type MailHandle =
  | {
      readonly purpose: "enrolment";
      readonly otpEmailId: string;
      /** The salt of the mail's code in base64url: it identifies one of the authenticator's codes. */
      readonly codeSalt: string;
    }
  | {
      readonly purpose: "login";
      /** Enough to identify the code: a challenge has only one. */
      readonly challengeId: string;
    };

/**
 * Makes the handle in the link of a mail: `purpose~keyId~…ids~mac`, safe in URLs and HTML, at most 120 characters. The MAC has
 * 128 bits. It reveals neither the code nor the user nor the address, and no table contains it.
 */
export function makeMailHandle(keys: KeyRing, handle: MailHandle): string {
  const fields = handle.purpose === "login" ? [handle.challengeId] : [handle.otpEmailId, handle.codeSalt];
  const key = keys.current;
  return [handle.purpose, key.id, ...fields, macText(key, labelOf(handle.purpose), fields)].join("~");
}

/** Returns the mail of a handle, or undefined if the handle is not authentic. Needs no query. */
export function readMailHandle(keys: KeyRing, handle: string): MailHandle | undefined {
  const [purpose = "", keyId = "", ...fields] = handle.split("~");
  const mac = fields.pop() ?? "";
  const key = keys.get(keyId);
  if (!key || !isMac(mac, macText(key, labelOf(purpose), fields))) return readReportHandle(keys, handle);
  // The MAC is right, so the fields are as `makeMailHandle` wrote them.
  const [id = "", codeSalt = ""] = fields;
  return purpose === "login"
    ? { purpose, challengeId: id }
    : { purpose: "enrolment", otpEmailId: id, codeSalt };
}

/** The purpose that a handle claims, authentic or not: a forged handle must show the same page. */
export function claimedPurpose(handle: string): CodePurpose {
  return handle === "" || handle.startsWith("enrolment~") ? "enrolment" : "login";
}

/** Reads the report links of mails from before handles had a purpose: `keyId~challengeId~mac`. */
function readReportHandle(keys: KeyRing, handle: string): MailHandle | undefined {
  const [keyId = "", challengeId = "", mac = "", ...more] = handle.split("~");
  const key = keys.get(keyId);
  if (!key || more.length > 0) return undefined;
  if (!isMac(mac, macText(key, "countersign/report/v1", [challengeId]))) return undefined;
  return { purpose: "login", challengeId };
}

function labelOf(purpose: string): string {
  return `countersign/mail-handle/v1/${purpose}`;
}

const macBytes = 16;

function macText(key: CodeKey, label: string, fields: readonly string[]): string {
  return macOf(key, label, fields, macBytes).toString("base64url");
}

/** Compares the text, not the bytes: base64url can encode the last bits in more than one way. */
function isMac(given: string, expected: string): boolean {
  const bytes = Buffer.from(given);
  return bytes.length === expected.length && timingSafeEqual(bytes, Buffer.from(expected));
}
