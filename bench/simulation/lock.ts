import { exponential } from "./random.ts";

/** Waiting time for a lock that each call holds until its commit. */
export interface LockWait {
  /** Share of the time that the lock is held. From 1 on the queue grows without bound. */
  readonly utilisation: number;
  readonly meanMs: number;
  readonly p99Ms: number;
}

/**
 * Simulates independent calls that each hold one lock for the same time (M/D/1), with Lindley's recursion: a call waits as long as
 * the call before it waited and held the lock, less the time between their arrivals.
 *
 * @param count number of calls.
 */
export function simulateLock(
  ratePerSecond: number,
  holdMs: number,
  count: number,
  random: () => number,
): LockWait {
  const waits = new Float64Array(count);
  for (let i = 1; i < count; i++) {
    const apart = exponential(ratePerSecond / 1_000, random);
    waits[i] = Math.max(0, waits[i - 1]! + holdMs - apart);
  }
  const meanMs = waits.reduce((sum, wait) => sum + wait, 0) / count;
  waits.sort();
  return {
    utilisation: (ratePerSecond * holdMs) / 1_000,
    meanMs,
    p99Ms: waits[Math.ceil(count * 0.99) - 1]!,
  };
}

/** The mean wait by the Pollaczek-Khinchine formula with a constant service time: holdMs * rho / (1 - rho) / 2. */
export function meanLockWaitMs(ratePerSecond: number, holdMs: number): number {
  const utilisation = (ratePerSecond * holdMs) / 1_000;
  return utilisation >= 1 ? Number.POSITIVE_INFINITY : (holdMs * utilisation) / (1 - utilisation) / 2;
}
