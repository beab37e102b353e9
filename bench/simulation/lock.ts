import { exponential } from "./random.ts";

/** What calls wait for a lock that each holds until its commit. */
export interface LockWait {
  /** Share of the time that it is held. From 1 on nothing helps: the queue only grows. */
  readonly utilisation: number;
  /** In milliseconds. */
  readonly meanMs: number;
  readonly p99Ms: number;
}

/**
 * Simulates calls that come independently at one lock, which each holds for the same time (M/D/1), by Lindley's recursion: who comes
 * waits for what was left of the queue before it, less the time since.
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

/** The mean of the same by Pollaczek and Khinchine, for a service time that does not vary: rho / (1 - rho) / 2 of it. */
export function meanLockWaitMs(ratePerSecond: number, holdMs: number): number {
  const utilisation = (ratePerSecond * holdMs) / 1_000;
  return utilisation >= 1 ? Number.POSITIVE_INFINITY : (holdMs * utilisation) / (1 - utilisation) / 2;
}
