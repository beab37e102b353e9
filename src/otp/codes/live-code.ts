import { random128 } from "../../db/core/id.ts";
import type { OTPContext } from "../context.ts";
import { type CodePolicy, lifeLeftMsMax } from "../policy.ts";
import type { KeyRing } from "./keys.ts";

/** A code that can still be verified: the key and salt that it is derived from. */
export interface LiveCode {
  readonly secret: Uint8Array;
  readonly salt: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly expireTime: number;
}

export type LiveCodeContext = Pick<OTPContext, "clock" | "keys" | "policy">;

/** What an authenticator or a challenge stores of its code. */
export interface CodeColumns {
  readonly code_key_id: string | null;
  readonly code_salt: Uint8Array | null;
  readonly code_expire_time: number | null;
  readonly attempts: number;
}

/**
 * Makes a fresh code under the current key.
 *
 * @param now milliseconds since the epoch.
 */
export function freshCode({ current }: KeyRing, { codeTtlMs }: CodePolicy, now: number): LiveCode {
  return { secret: current.secret, salt: random128(), expireTime: now + codeTtlMs };
}

/** Returns the code in a row, or undefined if it can't be verified: none, expired, out of attempts, or its key retired. */
export function liveCodeIn(
  { clock, keys }: LiveCodeContext,
  { code_key_id: keyId, code_salt: salt, code_expire_time: expireTime, attempts }: CodeColumns,
  { attemptsMax }: CodePolicy,
): LiveCode | undefined {
  if (keyId === null || salt === null || expireTime === null) return undefined;
  if (isExpired(expireTime, clock.now()) || attempts >= attemptsMax) return undefined;
  const key = keys.get(keyId);
  return key && { secret: key.secret, salt, expireTime };
}

/**
 * Whether a code has expired. A code with more time left than any code is given was made before the clock was set back, and
 * counts as expired too.
 */
export function isExpired(expireTime: number, now: number): boolean {
  return expireTime <= now || expireTime > now + lifeLeftMsMax;
}

/** Identifies a code where its reply or its mail is stored, in base64url. It reveals nothing without the key. */
export function saltOf({ salt }: Pick<LiveCode, "salt">): string {
  return Buffer.from(salt).toString("base64url");
}
