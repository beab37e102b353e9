/**
 * Where the program gets the time from. Everything that expires or waits takes a
 * Clock, so that a test can move it.
 */
export interface Clock {
  /** Milliseconds since the Unix epoch, UTC. */
  now(): number;
  /** Resolves after `ms` milliseconds of this clock, or at once when `signal` aborts. It never rejects. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

/** A clock that is set back by more than this is believed. */
const bridgedMs = 600_000;

/**
 * Stands still where a clock is set back a little, until that has caught up: what has expired by then is not revived. Where it
 * is set back by more than a code lives, it is followed: codes of a time to come are refused (F10).
 *
 * @param read milliseconds since the Unix epoch.
 */
export function forwards(read: () => number): () => number {
  let latest = 0;
  return () => {
    const now = read();
    if (now > latest || now < latest - bridgedMs) latest = now;
    return latest;
  };
}

/** The clock of the machine. */
export const systemClock: Clock = {
  now: forwards(Date.now),
  wait(ms, signal) {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener("abort", done, { once: true });
    });
  },
};
