import type { Caller } from "./write.ts";

/** How long a write is tried, in milliseconds: another process may hold the database, or the server may not answer. */
export const writeTimeoutMs = 5_000;

/** The part of a caller's deadline that a write may use. The rest is for the reply. */
const deadlineShare = 0.8;

/** How long to try the write of this caller, in milliseconds: `writeTimeoutMs`, or less if the caller has a deadline. */
export function writeTimeoutFor(caller: Caller | undefined): number {
  const timeoutMs = caller?.timeoutMs?.() ?? Number.POSITIVE_INFINITY;
  return Math.min(writeTimeoutMs, timeoutMs * deadlineShare);
}
