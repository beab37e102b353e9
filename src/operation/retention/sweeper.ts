import type { ExpiringRows } from "../../db/core/expiring.ts";
import type { Store } from "../../db/store.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";

/** Between two rounds, in milliseconds. Expired rows don't count even before they are deleted. */
const pauseMs = 60_000;

/** Keys per transaction. Other writers wait for at most one batch. */
const batchSize = 200;

export interface SweeperOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly expiring: readonly ExpiringRows[];
}

/** Deletes expired rows once a minute, in batches. Disposing it waits for the current batch. */
export function startSweeper({ store, clock, log, expiring }: SweeperOptions): AsyncDisposable {
  const stopping = new AbortController();
  const { signal } = stopping;

  async function run(): Promise<void> {
    while (!signal.aborted) {
      try {
        await sweep(store, expiring, clock.now(), signal);
      } catch (error) {
        const code = error instanceof Error && "code" in error ? error.code : undefined;
        log.error({ code }, "expired rows cannot be deleted now");
      }
      await clock.wait(pauseMs, signal);
    }
  }

  const running = run();
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await running;
    },
  };
}

/**
 * Deletes all rows that had expired by `now`, in milliseconds since the epoch. Returns when it is done, or after the current
 * batch when the signal aborts.
 */
export async function sweep(
  { db, write }: Store,
  expiring: readonly ExpiringRows[],
  now: number,
  signal: AbortSignal,
): Promise<void> {
  for (const rows of expiring) {
    while (!signal.aborted && (await rows.exist(db, now))) {
      await write((trx) => rows.delete(trx, now, batchSize));
    }
  }
}
