import { createHmac } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { KeyRing } from "./keys.ts";
import { lengthPrefixed } from "./length-prefixed.ts";

/**
 * Digests a value that a table must not contain, such as an email address: HMAC-SHA-256 under the code keys, in base64url, so
 * that a stolen database can't be searched for known addresses.
 *
 * @param label keeps digests of different uses apart, such as `mails/address`.
 * @returns one digest for each key, the current key's first. Rows are written under the first and looked up under all, so
 *   that a new key doesn't reset limits.
 */
export function digestsOf(
  keys: KeyRing,
  label: string,
  ...parts: readonly (string | Uint8Array)[]
): [string, ...string[]] {
  const bytes = lengthPrefixed(["countersign/digest/v1", label, ...parts]);
  const [first, ...others] = keys.all;
  const digest = (secret: Uint8Array) => createHmac("sha256", secret).update(bytes).digest("base64url");
  return [digest(first.secret), ...others.map((key) => digest(key.secret))];
}

/** The same for values that recur, such as a client's network: keeps the last 1,000 digests (docs/performance.md). */
export function cachedDigestsOf(keys: KeyRing, label: string, part = ""): [string, ...string[]] {
  let cache = caches.get(keys);
  if (!cache) {
    cache = new LRUCache({ max: 1_000 });
    caches.set(keys, cache);
  }
  const cacheKey = `${label} ${part}`;
  const cached = cache.get(cacheKey);
  if (cached) return cached;
  const digests = part === "" ? digestsOf(keys, label) : digestsOf(keys, label, part);
  cache.set(cacheKey, digests);
  return digests;
}

const caches = new WeakMap<KeyRing, LRUCache<string, [string, ...string[]]>>();
