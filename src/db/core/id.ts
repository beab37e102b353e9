import { randomFillSync, randomInt } from "node:crypto";

const epochMs = Date.UTC(2015, 0, 1);
const node = randomInt(1 << 10);
let lastMs = 0;
let counter = 0;

/**
 * Makes a 63-bit, time-ordered id, as a decimal string: 41 bits of milliseconds since 2015, 10 bits that
 * tell processes apart, 12 bits of a counter. Two processes that drew the same 10 bits may still make the
 * same id; the primary key refuses the second, and `write` runs its work again with a new one.
 */
export function makeId(nowMs: number): string {
  // The counter borrows from the next millisecond rather than wait for it, and the time never runs backwards.
  if (nowMs > lastMs) {
    lastMs = nowMs;
    counter = 0;
  } else if (++counter === 1 << 12) {
    lastMs++;
    counter = 0;
  }
  return ((BigInt(lastMs - epochMs) << 22n) | BigInt((node << 12) | counter)).toString();
}

/** What every id is below that is made at this time or later. */
export function firstIdAt(ms: number): string {
  return (BigInt(Math.max(0, ms - epochMs)) << 22n).toString();
}

/** A random id of 128 bits, for what must not be guessed or ordered. */
export function makeRandomId(): string {
  return random128().toString("base64url");
}

const drawn = Buffer.alloc(4096);
let drawnUsed = drawn.length;

/**
 * 16 random bytes. They are drawn from the system 4 KB at a time: to ask for 16 takes 1.6 us, and nearly as long for more.
 * Each is given once, and not kept.
 */
export function random128(): Buffer {
  if (drawnUsed === drawn.length) {
    randomFillSync(drawn);
    drawnUsed = 0;
  }
  const bytes = Buffer.from(drawn.subarray(drawnUsed, drawnUsed + 16));
  drawn.fill(0, drawnUsed, drawnUsed + 16);
  drawnUsed += 16;
  return bytes;
}

/** Whether a string from outside can be an id at all. SQLite would read " 12" and "12e1" as numbers too. */
export function isId(text: string): boolean {
  return /^[1-9][0-9]{0,18}$/.test(text) && BigInt(text) < 1n << 63n;
}
