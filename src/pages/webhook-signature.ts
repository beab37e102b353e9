import { createHmac, timingSafeEqual } from "node:crypto";

/** How far the sender's clock may be off, either way: the tolerance of the reference libraries. */
const toleranceMs = 300_000;

export interface SignedMessage {
  /** `webhook-id`: the same for every delivery attempt. */
  readonly id: string | undefined;
  /** `webhook-timestamp`: seconds since the epoch. */
  readonly timestamp: string | undefined;
  /** `webhook-signature`: one or more, such as `v1,BASE64`, separated by spaces. */
  readonly signature: string | undefined;
  readonly body: Buffer;
}

/**
 * Whether a webhook was signed with the secret within the tolerance (Standard Webhooks 1.0, symmetric signatures). Does not
 * detect replays: the caller must remember the id.
 *
 * (The standardwebhooks package can't be given a clock.)
 *
 * @param now milliseconds since the epoch.
 */
export function isSigned(secret: Uint8Array, now: number, message: SignedMessage): boolean {
  const { id, timestamp, signature, body } = message;
  if (!id || id.length > 255 || !timestamp || !/^\d{1,12}$/.test(timestamp) || !signature) return false;
  if (Math.abs(Number(timestamp) * 1_000 - now) > toleranceMs) return false;
  const right = createHmac("sha256", secret).update(`${id}.${timestamp}.`).update(body).digest();
  // Senders sign with both secrets during a rotation. The HTTP server bounds the length of the header.
  return signature
    .split(" ")
    .filter((item) => item.startsWith("v1,"))
    .map((item) => Buffer.from(item.slice(3), "base64"))
    .some((given) => given.length === right.length && timingSafeEqual(given, right));
}
