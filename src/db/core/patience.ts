import { setTimeout as sleep } from "node:timers/promises";
import Database from "better-sqlite3";
import type { Caller } from "./write.ts";

/** How long to wait for another process that writes, in milliseconds. */
export const patienceMs = 5_000;

/** In milliseconds. Whoever has a deadline is told before it what is the matter: a fifth of its time is for the reply. */
export function patienceFor(caller: Caller | undefined): number {
  const timeoutMs = caller?.timeoutMs?.() ?? Number.POSITIVE_INFINITY;
  return Math.min(patienceMs, timeoutMs * 0.8);
}

/** For how long SQLite itself waits, during which nothing else of this process runs: no longer than a commit takes. */
export const engineTimeoutMs = 10;

/** Between two runs, in which the rest of the process goes on. */
export const pauseMs = 5;

/**
 * Runs a transaction, again and again while another process holds the database. Between the runs this process goes on.
 *
 * @param end when to give up, on the clock of `performance.now()`. It is run once in any case.
 */
export async function patiently<T>(transaction: () => Promise<T>, end: number): Promise<T> {
  for (;;) {
    try {
      return await transaction();
    } catch (error) {
      if (!isBusy(error) || performance.now() >= end) throw error;
      await sleep(pauseMs);
    }
  }
}

/** Whether another process holds the database: nothing was begun. */
export function isBusy(error: unknown): boolean {
  return error instanceof Database.SqliteError && error.code.startsWith("SQLITE_BUSY");
}
