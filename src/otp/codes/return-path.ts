import { timingSafeEqual } from "node:crypto";
import { isId } from "../../db/core/id.ts";
import type { CodeKey, KeyRing } from "./keys.ts";
import { macOf } from "./mac.ts";

/** 80 bits: nobody tries them out by mail, and with the id they leave room in a local part of 64 octets. */
const macBytes = 10;

/** How long the local part of the bounce address may be: "+", an id of 19 digits, "-" and the MAC follow (RFC 5321 §4.5.3.1.1). */
export const bounceLocalPartMax = 64 - 1 - 19 - 1 - 2 * macBytes;

/**
 * Where a notification goes if a mail comes back: an address of its own for each mail (VERP), such as
 * `bounces+163840776835432705-0a1b…@example.com`, that only a holder of the key can make. In hexadecimal, for servers that
 * change the case of a local part.
 *
 * @param bounceAddress a mailbox, without a "+".
 */
export function makeReturnPath(keys: KeyRing, bounceAddress: string, mailId: string): string {
  const at = bounceAddress.lastIndexOf("@");
  const mac = returnPathMac(keys.current, mailId).toString("hex");
  return `${bounceAddress.slice(0, at)}+${mailId}-${mac}${bounceAddress.slice(at)}`;
}

/**
 * The mail of a return path, or undefined if it was not made here. That takes no look at the database. The domain does not
 * matter: servers rewrite it, and it proves nothing.
 */
export function readReturnPath(keys: KeyRing, address: string): string | undefined {
  const [, mailId = "", mac = ""] = /\+(\d{1,19})-([\da-f]{20})@[^@]*$/i.exec(address) ?? [];
  if (!isId(mailId)) return undefined;
  const given = Buffer.from(mac, "hex");
  // A key that was retired since: the mail is out of reach of its bounce, and nothing else.
  return keys.all.some((key) => timingSafeEqual(given, returnPathMac(key, mailId))) ? mailId : undefined;
}

function returnPathMac(key: CodeKey, mailId: string): Buffer {
  return macOf(key, "countersign/return-path/v1", [mailId], macBytes);
}
