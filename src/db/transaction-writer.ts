import { setTimeout as sleep } from "node:timers/promises";
import type { Kysely } from "kysely";
import pg from "pg";
import { patienceMs } from "./patience.ts";
import type { DB } from "./schema.ts";
import {
  type Caller,
  CallerGone,
  runsMax,
  type Work,
  WriteQueueFull,
  type Writer,
  waitingMax,
} from "./write.ts";

/**
 * Each write in a transaction of its own, for an engine with many writers. One that gets in the way of another is run
 * again after a short random pause: a failed serialization, a deadlock, or a key that another process took at the same
 * moment, whose row the next run finds.
 *
 * @param committed is called after each commit.
 */
export function createTransactionWriter(db: Kysely<DB>, committed: () => void): Writer {
  const running = new Set<Promise<unknown>>();

  async function run<T>(caller: Caller | undefined, work: Work<T>): Promise<T> {
    const end = performance.now() + patienceMs;
    for (let count = 1; ; count++) {
      try {
        return await db.transaction().execute((trx) => {
          // It may have waited for a connection, or for its turn.
          if (caller?.isStopped) throw new CallerGone();
          return work(trx);
        });
      } catch (error) {
        if (count === runsMax || !isConflict(error) || performance.now() > end) throw error;
        await sleep(Math.random() * pauseMs * 2 ** count);
      }
    }
  }

  return {
    async writeFor(caller, work) {
      if (running.size >= waitingMax) throw new WriteQueueFull();
      const outcome = run(caller, work);
      running.add(outcome);
      try {
        const result = await outcome;
        committed();
        return result;
      } finally {
        running.delete(outcome);
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(running);
    },
  };
}

const pauseMs = 2;

/** serialization_failure, deadlock_detected, unique_violation */
function isConflict(error: unknown): boolean {
  return error instanceof pg.DatabaseError && ["40001", "40P01", "23505"].includes(error.code ?? "");
}
