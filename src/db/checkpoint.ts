import type Database from "better-sqlite3";
import type { SqliteHealth } from "./sqlite-health.ts";

/**
 * So many pages of the log are moved into the database together: 62 MiB. Most of them were written again and again by then, and
 * only their last state is moved. (1,000 pages, as SQLite has it, cost a quarter of the writes a second.)
 */
const pagesMin = 16_000;

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
  /** With a reader in the way, each attempt looks through the whole log: not for every page. */
  let next = pagesMin;
  let nextRestart = 0;

  return () => {
    try {
      const { log } = run(look);
      if (log < pagesMin) next = pagesMin;
      if (log < next) return;
      next = log + pagesMin;
      run(move);
      if (log < pagesMany || performance.now() < nextRestart) return;
      nextRestart = performance.now() + pauseMs;
      run(restart);
    } catch {
      // Full or busy: the log grows, and we try again. That it has failed was heard by `health`.
    }
  };
}
