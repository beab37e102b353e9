import { timingSafeEqual } from "node:crypto";
import { isId } from "../../db/core/id.ts";
import type { CodeKey, KeyRing } from "./keys.ts";
import { macOf } from "./mac.ts";

/** 80 bits: too many to guess by mail, and short enough for a local part of 64 octets. */
const macBytes = 10;

/** The maximum length of the bounce address's local part: "+", 19 digits, "-" and the MAC follow (RFC 5321 §4.5.3.1.1). */
export const bounceLocalPartMax = 64 - 1 - 19 - 1 - 2 * macBytes;

/**
 * Makes the envelope sender of a mail, to which bounces go: one address per mail (VERP), such as
 * `bounces+163840776835432705-0a1b…@example.com`, that can't be forged without the key. The MAC is hexadecimal because some
 * servers change the case of a local part.
 *
 * @param bounceAddress a mailbox whose local part has no "+" and at most `bounceLocalPartMax` characters.
 */
export function makeReturnPath(keys: KeyRing, bounceAddress: string, mailId: string): string {
  const at = bounceAddress.lastIndexOf("@");
  const mac = returnPathMac(keys.current, mailId).toString("hex");
  return `${bounceAddress.slice(0, at)}+${mailId}-${mac}${bounceAddress.slice(at)}`;
}

/**
 * Returns the mail id of a return path, or undefined if the path is not authentic. Needs no query. The domain is ignored:
 * servers rewrite it.
 */
export function readReturnPath(keys: KeyRing, address: string): string | undefined {
  const [, mailId = "", mac = ""] = /\+(\d{1,19})-([\da-f]{20})@[^@]*$/i.exec(address) ?? [];
  if (!isId(mailId)) return undefined;
  const given = Buffer.from(mac, "hex");
  // Bounces of mails sent under a retired key are ignored.
  return keys.all.some((key) => timingSafeEqual(given, returnPathMac(key, mailId))) ? mailId : undefined;
}

function returnPathMac(key: CodeKey, mailId: string): Buffer {
  return macOf(key, "countersign/return-path/v1", [mailId], macBytes);
}
