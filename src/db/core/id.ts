import { randomFillSync, randomInt } from "node:crypto";

const epochMs = Date.UTC(2015, 0, 1);
const node = randomInt(1 << 10);
let lastMs = 0;
let counter = 0;

/**
 * Makes a 63-bit, time-ordered id as a decimal string: 41 bits of milliseconds since 2015, 10 random bits of this process and
 * a 12-bit counter. Two processes with the same 10 bits may make the same id; the primary key rejects the second one, and
 * `write` runs its work again with a new id.
 */
export function makeId(nowMs: number): string {
  // An overflowing counter borrows from the next millisecond instead of waiting for it. The time never goes back.
  if (nowMs > lastMs) {
    lastMs = nowMs;
    counter = 0;
  } else if (++counter === 1 << 12) {
    lastMs++;
    counter = 0;
  }
  return ((BigInt(lastMs - epochMs) << 22n) | BigInt((node << 12) | counter)).toString();
}

/** The lower bound of the ids made at this time (milliseconds since the Unix epoch) or later. */
export function firstIdAt(ms: number): string {
  return (BigInt(Math.max(0, ms - epochMs)) << 22n).toString();
}

/** A random 128-bit id in base64url, where ids must not be guessable or ordered. */
export function makeRandomId(): string {
  return random128().toString("base64url");
}

const pool = Buffer.alloc(4096);
let poolUsed = pool.length;

/** 16 random bytes. They are drawn 4 KB at a time: a system call for 16 bytes takes nearly as long. */
export function random128(): Buffer {
  if (poolUsed === pool.length) {
    randomFillSync(pool);
    poolUsed = 0;
  }
  const bytes = Buffer.from(pool.subarray(poolUsed, poolUsed + 16));
  // Bytes that were handed out are not kept here.
  pool.fill(0, poolUsed, poolUsed + 16);
  poolUsed += 16;
  return bytes;
}

/** Whether a string can be an id. SQLite would read " 12" and "12e1" as numbers, too. */
export function isId(text: string): boolean {
  return /^[1-9][0-9]{0,18}$/.test(text) && BigInt(text) < 1n << 63n;
}
