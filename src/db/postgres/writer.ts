import { setTimeout as sleep } from "node:timers/promises";
import type { Kysely } from "kysely";
import { withTimeout } from "../../lib/with-timeout.ts";
import type { DB } from "../core/schema.ts";
import {
  attemptsMax,
  type Caller,
  CallerGone,
  type Work,
  WriteQueueFull,
  type Writer,
  waitingMax,
} from "../core/write.ts";
import { writeTimeoutFor } from "../core/write-timeout.ts";
import { DatabaseTimeout, isConflict } from "./errors.ts";

/**
 * Runs each write in its own transaction, as PostgreSQL has many writers. A write that conflicts with another runs again after
 * a short random pause: a failed serialization, a deadlock, or a key another process inserted at the same moment, whose row
 * the next attempt finds.
 *
 * @param onCommit is called after each commit.
 */
export function createWriter(db: Kysely<DB>, onCommit: () => void): Writer {
  const running = new Set<Promise<unknown>>();

  async function run<T>(caller: Caller | undefined, work: Work<T>, deadline: number): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await db.transaction().execute(async (trx) => {
          // The caller may have gone while this waited for a connection or between two attempts.
          if (caller?.isStopped) throw new CallerGone();
          requireBefore(deadline);
          const result = await work(trx);
          requireBefore(deadline);
          return result;
        });
      } catch (error) {
        if (attempt === attemptsMax || !isConflict(error) || performance.now() > deadline) throw error;
        await sleep(Math.random() * pauseMs * 2 ** attempt);
      }
    }
  }

  return {
    async writeFor(caller, work) {
      if (running.size >= waitingMax) throw new WriteQueueFull();
      const timeoutMs = writeTimeoutFor(caller);
      const outcome = run(caller, work, performance.now() + timeoutMs).then((result) => {
        onCommit();
        return result;
      });
      running.add(outcome);
      const forget = () => void running.delete(outcome);
      outcome.then(forget, forget);
      // Whether a write that timed out still commits is unknown here. The caller can find out with its idempotency key.
      return withTimeout(
        outcome,
        timeoutMs,
        () => new DatabaseTimeout("the database did not answer in time"),
      );
    },
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(running);
    },
  };
}

/** The first pause between two attempts, at most, in milliseconds. It doubles with each attempt. */
const pauseMs = 2;

/** Rolls back a write that has been reported as timed out, unless its commit is under way. */
function requireBefore(deadline: number): void {
  if (performance.now() > deadline) throw new DatabaseTimeout("the database took too long");
}
