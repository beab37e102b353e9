import type Database from "better-sqlite3";
import { type CheckpointThread, type LogState, startCheckpointThread } from "./checkpoint-thread.ts";
import type { SqliteHealth } from "./health.ts";

/** From so many pages on there is a thread. It takes 40 ms to start. */
const pagesThread = 4_000;

/** From so many on it moves them into the database, so that nearly all of them are there at `pagesMax`. */
const pagesAside = 12_000;

/**
 * From so many on all that is left is moved between two commits: 62 MiB. Measured with 32 authenticators a commit, and no
 * thread, for 1,000 / 8,000 / 16,000 pages: 7,460 / 10,040 / 10,500 of them a second, of a commit p90 12.3 / 3.5 / 3.6 ms.
 */
const pagesMax = 16_000;

/** Before that, if so few are left: some 5 ms. */
const pagesLast = 1_000;

/**
 * How often the thread moves pages before. The first or the second time after the one that moved 12,000 of them takes as long
 * as that, of the disk, although it has 500; from then on a quarter.
 */
const asideMin = 3;

/** With a reader in the way, each attempt looks through the whole log: only so many pages later it is tried again. */
const pagesMore = 4_000;

/** From so many on, new readers are kept waiting for a moment, so that the log can begin anew: 125 MiB. */
const pagesMany = 32_000;

/** Between two such attempts: each stops the process for up to its busy timeout. */
const pauseMs = 1_000;

export interface Checkpointer extends AsyncDisposable {
  /** For after a commit, when nobody waits. Where it returns a promise, the next commit is to wait for that. */
  readonly afterCommit: () => void | Promise<void>;
}

/**
 * Moves what stands in the log into the database whenever there is enough of it. SQLite could do so itself at a commit, but
 * keeps a failed sync to itself then, and begins the log anew when the next one succeeds, perhaps for nothing (F04).
 *
 * A thread does nearly all of it while commits go on: it is a wait of 20 to 50 ms for the disk. The log begins anew only
 * once it has been moved to its end, and while commits go on there is always something behind what the thread has moved. So
 * the last pages are moved between two commits. Measured with 64 calls of AddOTPEmail at a time: p99 16 ms in the place of 37.
 *
 * While somebody reads an old state, no more than that can be moved, and the log grows. It begins anew with the first
 * write after that reader has gone.
 *
 * @param onError is told if the thread cannot work. From then on there is none.
 */
export function createCheckpointer(
  database: Database.Database,
  path: string,
  health: SqliteHealth,
  onError: (error: Error) => void,
): Checkpointer {
  // Tells how much there is, and does nothing. Costs 1.4 us.
  const look = database.prepare("pragma wal_checkpoint(NOOP)");
  const move = database.prepare("pragma wal_checkpoint(PASSIVE)");
  const restart = database.prepare("pragma wal_checkpoint(RESTART)");
  const run = (statement: Database.Statement) => health.run(() => statement.get() as LogState);
  let thread: CheckpointThread | undefined;
  let hasThread = true;
  let isClosed = false;
  /** What the thread is about. */
  let aside: Promise<void> | undefined;
  /** How often the thread has moved pages since the log began. */
  let asideCount = 0;
  let next = pagesAside;
  let nextRestart = 0;

  async function moveAside(thread: CheckpointThread, before: number): Promise<void> {
    try {
      const { log, checkpointed } = await thread.move();
      asideCount++;
      if (checkpointed < log) next = log + pagesMore;
    } catch (error) {
      // Full, say: to try it at each commit would help nobody.
      const isOfSqlite = health.observe(error);
      if (isOfSqlite) next = before + pagesMore;
      if (isOfSqlite || isClosed) return;
      hasThread = false;
      onError(new Error("checkpoints have no thread of their own any more", { cause: error }));
    } finally {
      aside = undefined;
    }
  }

  function afterCommit(): void | Promise<void> {
    try {
      const { log, checkpointed } = run(look);
      // Commits that are faster than the thread wait for it here, so that the log stays within its bound.
      if (aside) return log < pagesMax ? undefined : aside.then(afterCommit);
      if (hasThread && log >= pagesThread) thread ??= startCheckpointThread(path);
      if (log < pagesAside) {
        next = pagesAside;
        asideCount = 0;
      }
      if (log < next) return;
      if (log >= pagesMax || (asideCount >= asideMin && log - checkpointed <= pagesLast)) {
        next = log + pagesMore;
        run(move);
      } else if (thread && hasThread) {
        aside = moveAside(thread, log);
      }
      if (log < pagesMany || performance.now() < nextRestart) return;
      nextRestart = performance.now() + pauseMs;
      run(restart);
    } catch {
      // Full or busy: the log grows, and we try again. That it has failed was heard by `health`.
    }
  }

  return {
    afterCommit,
    async [Symbol.asyncDispose]() {
      isClosed = true;
      await thread?.stop();
    },
  };
}
