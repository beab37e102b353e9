import { createHmac } from "node:crypto";
import { lengthPrefixed } from "./code.ts";
import type { KeyRing } from "./keys.ts";

/**
 * What stands in a table for something that it must not name, such as an address: HMAC-SHA-256 under the keys
 * of the codes, so that whoever has the database alone cannot try addresses out.
 *
 * @returns one for each key. The first is written, all are looked for: a new key brings no new limits.
 */
export function digestsOf(
  keys: KeyRing,
  what: string,
  ...parts: readonly (string | Uint8Array)[]
): [string, ...string[]] {
  const bytes = lengthPrefixed(["countersign/digest/v1", what, ...parts]);
  const [first, ...others] = keys.all;
  const digest = (secret: Uint8Array) => createHmac("sha256", secret).update(bytes).digest("base64url");
  return [digest(first.secret), ...others.map((key) => digest(key.secret))];
}
