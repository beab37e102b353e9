import type { Clock } from "../../src/lib/clock.ts";

/** A clock that only moves when `move` is called. */
export class MovableClock implements Clock {
  #now: number;
  readonly #waits = new Set<{ until: number; done: () => void }>();

  constructor(start = Date.parse("2026-11-23T09:00:00Z")) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  wait(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted || ms <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      const wait = {
        until: this.#now + ms,
        done: () => {
          this.#waits.delete(wait);
          signal.removeEventListener("abort", wait.done);
          resolve();
        },
      };
      this.#waits.add(wait);
      signal.addEventListener("abort", wait.done, { once: true });
    });
  }

  /** Moves the clock by `ms` milliseconds, backwards if negative, and ends the waits that are over by then. */
  move(ms: number): void {
    this.#now += ms;
    for (const wait of [...this.#waits]) if (wait.until <= this.#now) wait.done();
  }
}
