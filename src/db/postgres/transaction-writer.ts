import { setTimeout as sleep } from "node:timers/promises";
import type { Kysely } from "kysely";
import pg from "pg";
import { patienceFor } from "../core/patience.ts";
import type { DB } from "../core/schema.ts";
import {
  type Caller,
  CallerGone,
  runsMax,
  type Work,
  WriteQueueFull,
  type Writer,
  waitingMax,
} from "../core/write.ts";
import { DatabaseSilent } from "./pool.ts";

/**
 * Each write in a transaction of its own, for an engine with many writers. One that gets in the way of another is run
 * again after a short random pause: a failed serialization, a deadlock, or a key that another process took at the same
 * moment, whose row the next run finds.
 *
 * @param committed is called after each commit.
 */
export function createTransactionWriter(db: Kysely<DB>, committed: () => void): Writer {
  const running = new Set<Promise<unknown>>();

  async function run<T>(caller: Caller | undefined, work: Work<T>, end: number): Promise<T> {
    for (let count = 1; ; count++) {
      try {
        return await db.transaction().execute(async (trx) => {
          // It may have waited for a connection, or for its turn.
          if (caller?.isStopped) throw new CallerGone();
          refuseAfter(end);
          const result = await work(trx);
          refuseAfter(end);
          return result;
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
      const patience = patienceFor(caller);
      const outcome = run(caller, work, performance.now() + patience).then((result) => {
        committed();
        return result;
      });
      running.add(outcome);
      const forget = () => void running.delete(outcome);
      outcome.then(forget, forget);
      return within(outcome, patience);
    },
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(running);
    },
  };
}

const pauseMs = 2;

/** What its caller has been told is not available is not done afterwards, unless its commit is on the way. */
function refuseAfter(end: number): void {
  if (performance.now() > end) throw new DatabaseSilent("the database took too long");
}

/** Whether a write whose time has run out is still done is not known to anyone: the key of its call tells. */
async function within<T>(outcome: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DatabaseSilent("the database did not answer in time")), timeoutMs);
  });
  try {
    return await Promise.race([outcome, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** serialization_failure, deadlock_detected, unique_violation */
function isConflict(error: unknown): boolean {
  return error instanceof pg.DatabaseError && ["40001", "40P01", "23505"].includes(error.code ?? "");
}
