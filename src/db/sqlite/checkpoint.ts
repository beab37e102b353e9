import type Database from "better-sqlite3";
import { type CheckpointThread, type LogState, startCheckpointThread } from "./checkpoint-thread.ts";
import type { SqliteHealth } from "./health.ts";

/** When to do what, in pages of 4 KiB in the log. Measured in docs/performance.md#storage. */
const thresholds = {
  /** 47 MiB: the thread starts to move pages. A hot page is moved once for all its changes until then. */
  start: 12_000,
  /** 4 MiB: once the thread finds no more than this to move, the rest is moved between two commits, which takes about 5 ms. */
  few: 1_000,
  /** 62 MiB: the rest is moved between two commits in any case. This bounds the log. */
  finish: 16_000,
  /** 16 MiB: the next attempt if a reader is in the way, after that much more. Each attempt scans the whole log. */
  retry: 4_000,
  /** 125 MiB: attempts keep new readers waiting, for up to the busy timeout, so that the log can restart. */
  blockReaders: 32_000,
};

export interface Checkpointer extends AsyncDisposable {
  /** To be called after each commit, when no caller is waiting. If it returns a promise, the next commit has to wait for it. */
  readonly afterCommit: () => void | Promise<void>;
}

/**
 * Moves the log into the database whenever it is long enough. SQLite could do so by itself, but it hides a failed sync after a
 * commit and restarts the log once the next sync succeeds, perhaps without the data (F04).
 *
 * A thread moves nearly all pages while commits go on, because that waits 20 to 50 ms for the disk. The log restarts only once
 * it has been moved to its end, which commits keep extending, so the last pages are moved between two commits.
 *
 * Pages that a reader's snapshot needs cannot be moved, and the log grows. It restarts with the first write after that reader
 * is gone.
 *
 * @param onError is called if the thread fails. From then on all pages are moved between commits.
 */
export function createCheckpointer(
  database: Database.Database,
  path: string,
  health: SqliteHealth,
  onError: (error: Error) => void,
): Checkpointer {
  // Only reports the state. Costs 1.4 us.
  const look = database.prepare("pragma wal_checkpoint(NOOP)");
  const move = database.prepare("pragma wal_checkpoint(PASSIVE)");
  const moveAndBlockReaders = database.prepare("pragma wal_checkpoint(RESTART)");
  const run = (statement: Database.Statement) => health.run(() => statement.get() as LogState);
  let thread: CheckpointThread | undefined;
  let hasThread = true;
  let isClosed = false;
  let moving: Promise<void> | undefined;
  /** Whether the last move of the thread found few pages. */
  let isNearlyDone = false;
  /** The next attempt, in pages in the log. */
  let next = thresholds.start;

  async function moveInThread(before: LogState): Promise<void> {
    try {
      thread ??= startCheckpointThread(path);
      const { log, checkpointed } = await thread.move();
      isNearlyDone = checkpointed - before.checkpointed <= thresholds.few;
      if (checkpointed < log) next = log + thresholds.retry;
    } catch (error) {
      const isOfSqlite = health.observe(error);
      // The disk may be full: retrying after each commit would not help.
      if (isOfSqlite) next = before.log + thresholds.retry;
      if (isOfSqlite || isClosed) return;
      hasThread = false;
      onError(new Error("the checkpoint thread failed: pages are moved between commits", { cause: error }));
    } finally {
      moving = undefined;
    }
  }

  function afterCommit(): void | Promise<void> {
    try {
      const state = run(look);
      // If commits outrun the thread, they wait for it, so that the log keeps its bound.
      if (moving) return state.log < thresholds.finish ? undefined : moving.then(afterCommit);
      if (state.log < thresholds.start) {
        next = thresholds.start;
        isNearlyDone = false;
      }
      if (state.log < next) return;
      if (hasThread && !isNearlyDone && state.log < thresholds.finish) {
        moving = moveInThread(state);
      } else {
        next = state.log + thresholds.retry;
        run(state.log < thresholds.blockReaders ? move : moveAndBlockReaders);
      }
    } catch {
      // The disk is full, or another process holds the database: the log grows until the next attempt. Failures were observed.
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
