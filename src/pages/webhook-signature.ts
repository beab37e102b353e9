import { createHmac, timingSafeEqual } from "node:crypto";

/** How far the clock of the sender may be off, either way. */
const toleranceMs = 300_000;

export interface SignedMessage {
  /** `webhook-id`: the same for each time it is sent. */
  readonly id: string | undefined;
  /** `webhook-timestamp`: seconds since the epoch. */
  readonly timestamp: string | undefined;
  /** `webhook-signature`: one or more, such as `v1,BASE64`, with spaces between them. */
  readonly signature: string | undefined;
  readonly body: Buffer;
}

/**
 * Whether a webhook was signed with the secret, and lately (Standard Webhooks 1.0, symmetric signatures). That it was not
 * sent before is for whoever keeps its id.
 *
 * (The standardwebhooks package reads the clock of the machine, and no other.)
 *
 * @param now milliseconds since the epoch.
 */
export function isSigned(secret: Uint8Array, now: number, message: SignedMessage): boolean {
  const { id, timestamp, signature, body } = message;
  if (!id || id.length > 255 || !timestamp || !/^\d{1,12}$/.test(timestamp) || !signature) return false;
  if (Math.abs(Number(timestamp) * 1_000 - now) > toleranceMs) return false;
  const right = createHmac("sha256", secret).update(`${id}.${timestamp}.`).update(body).digest();
  // During a change of secrets a sender signs with both. The header as a whole is bounded by the server.
  return signature
    .split(" ")
    .filter((item) => item.startsWith("v1,"))
    .map((item) => Buffer.from(item.slice(3), "base64"))
    .some((given) => given.length === right.length && timingSafeEqual(given, right));
}
