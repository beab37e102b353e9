import { createHmac } from "node:crypto";
import { lengthPrefixed } from "./code.ts";
import type { CodeKey } from "./keys.ts";

/**
 * A message authentication code: HMAC-SHA-256 (RFC 2104), cut to `bytes` bytes.
 *
 * @param label keeps the MACs of one use apart from everything else that the key derives, such as `countersign/page/v1`.
 */
export function macOf(key: CodeKey, label: string, parts: readonly string[], bytes: number): Buffer {
  return createHmac("sha256", key.secret)
    .update(lengthPrefixed([label, ...parts]))
    .digest()
    .subarray(0, bytes);
}
