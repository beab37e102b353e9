import { createHmac } from "node:crypto";
import type { CodeKey } from "./keys.ts";
import { lengthPrefixed } from "./length-prefixed.ts";

/**
 * Returns a message authentication code: HMAC-SHA-256 (RFC 2104), truncated to `bytes` bytes.
 *
 * @param label separates this use of the key from all others, such as `countersign/page/v1`.
 */
export function macOf(key: CodeKey, label: string, parts: readonly string[], bytes: number): Buffer {
  return createHmac("sha256", key.secret)
    .update(lengthPrefixed([label, ...parts]))
    .digest()
    .subarray(0, bytes);
}
