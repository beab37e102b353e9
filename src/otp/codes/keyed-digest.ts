import { createHmac } from "node:crypto";
import { LRUCache } from "lru-cache";
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

/**
 * The same for what comes again and again, such as the network of an application: those of the last thousand are remembered.
 * Each takes 2 us to make.
 */
export function commonDigestsOf(keys: KeyRing, what: string, part = ""): [string, ...string[]] {
  let known = remembered.get(keys);
  if (!known) {
    known = new LRUCache({ max: 1_000 });
    remembered.set(keys, known);
  }
  const name = `${what} ${part}`;
  const found = known.get(name);
  if (found) return found;
  const digests = part === "" ? digestsOf(keys, what) : digestsOf(keys, what, part);
  known.set(name, digests);
  return digests;
}

const remembered = new WeakMap<KeyRing, LRUCache<string, [string, ...string[]]>>();
