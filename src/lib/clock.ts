import { minuteMs } from "./time.ts";

/** Tells the time and waits. Everything that expires or waits takes a Clock, so that tests can move it. */
export interface Clock {
  /** Milliseconds since the Unix epoch, UTC. */
  now(): number;
  /** Resolves after `ms` milliseconds of this clock, or at once when `signal` aborts. It never rejects. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

/** The longest step back that is hidden: the lifetime of a code. */
const hiddenStepMs = 10 * minuteMs;

/**
 * Makes a clock that never runs backwards by a small step: it stands still until `read` has caught up, so that expired
 * codes don't become valid again. A larger step is followed; codes that were created in the future are refused then.
 *
 * @param read returns milliseconds since the Unix epoch.
 */
export function forwards(read: () => number): () => number {
  let latest = 0;
  return () => {
    const now = read();
    if (now > latest || now < latest - hiddenStepMs) latest = now;
    return latest;
  };
}

/** The clock of this machine. */
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
