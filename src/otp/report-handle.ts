import { createHmac, timingSafeEqual } from "node:crypto";
import { isId } from "../db/id.ts";
import { lengthPrefixed } from "./code.ts";
import type { CodeKey, KeyRing } from "./keys.ts";

const macBytes = 16;

/**
 * What is in the link "this wasn't me" of a mail: the challenge, and 128 bits that only a holder of the key can make. It is
 * stored nowhere, and says nothing of the code.
 */
export function makeReportHandle(keys: KeyRing, challengeId: string): string {
  const key = keys.current;
  return [key.id, challengeId, macOf(key, challengeId).toString("base64url")].join("~");
}

/** The challenge of a handle, or undefined if it was not made here. That takes no look at the database. */
export function readReportHandle(keys: KeyRing, handle: string): string | undefined {
  const [keyId = "", challengeId = "", mac = "", ...more] = handle.split("~");
  const key = keys.get(keyId);
  if (!key || more.length > 0 || !isId(challengeId)) return undefined;
  const given = Buffer.from(mac, "base64url");
  if (given.length !== macBytes) return undefined;
  return timingSafeEqual(given, macOf(key, challengeId)) ? challengeId : undefined;
}

/** The first part keeps it apart from everything else that the key derives. */
function macOf(key: CodeKey, challengeId: string): Buffer {
  const bytes = lengthPrefixed(["countersign/report/v1", challengeId]);
  return createHmac("sha256", key.secret).update(bytes).digest().subarray(0, macBytes);
}
