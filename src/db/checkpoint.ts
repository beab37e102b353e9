import type Database from "better-sqlite3";
import type { SqliteHealth } from "./sqlite-health.ts";

/**
 * So many pages of the log are moved into the database together: 62 MiB. Each time is a wait of some 50 ms for the disk. Measured
 * with 32 authenticators a commit, for 1,000 / 8,000 / 16,000 pages: 7,460 / 10,040 / 10,500 of them a second, of a commit p90
 * 12.3 / 3.5 / 3.6 ms and p99 22 / 31 / 15 ms.
 */
const pagesMin = 16_000;

/** With a reader in the way, each attempt looks through the whole log: only so many pages later it is tried again. */
const pagesMore = 4_000;

/** From so many on, new readers are kept waiting for a moment, so that the log can begin anew: 125 MiB. */
const pagesMany = 32_000;

/** Between two such attempts: each stops the process for up to its busy timeout. */
const pauseMs = 1_000;

interface LogState {
  readonly busy: number;
  /** Pages in the log. */
  readonly log: number;
  /** How many of them are in the database, too. */
  readonly checkpointed: number;
}

/**
 * Moves what stands in the log into the database whenever there is enough of it. SQLite could do so itself at a commit, but
 * keeps a failed sync to itself then, and begins the log anew when the next one succeeds, perhaps for nothing (F04).
 *
 * While somebody reads an old state, no more than that can be moved, and the log grows. It begins anew with the first
 * write after that reader has gone.
 */
export function createCheckpointer(database: Database.Database, health: SqliteHealth): () => void {
  // Tells how much there is, and does nothing. Costs 1.4 us.
  const look = database.prepare("pragma wal_checkpoint(NOOP)");
  const move = database.prepare("pragma wal_checkpoint(PASSIVE)");
  const restart = database.prepare("pragma wal_checkpoint(RESTART)");
  const run = (statement: Database.Statement) => health.run(() => statement.get() as LogState);
  let next = pagesMin;
  let nextRestart = 0;

  return () => {
    try {
      const { log } = run(look);
      if (log < pagesMin) next = pagesMin;
      if (log < next) return;
      next = log + pagesMore;
      run(move);
      if (log < pagesMany || performance.now() < nextRestart) return;
      nextRestart = performance.now() + pauseMs;
      run(restart);
    } catch {
      // Full or busy: the log grows, and we try again. That it has failed was heard by `health`.
    }
  };
}
