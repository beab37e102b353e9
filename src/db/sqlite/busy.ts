import { setTimeout as sleep } from "node:timers/promises";
import { isBusy } from "./errors.ts";

/**
 * How long SQLite itself waits for another process, in milliseconds: about as long as a commit takes. It blocks the
 * whole process, so longer waits are retries.
 */
export const busyTimeoutMs = 10;

/** The pause between two retries, in milliseconds, in which the process goes on. */
export const retryPauseMs = 5;

/**
 * Runs a transaction, and again as long as another process holds the database.
 *
 * @param deadline when to give up, on the clock of `performance.now()`. It runs at least once.
 */
export async function retryWhileBusy<T>(transaction: () => Promise<T>, deadline: number): Promise<T> {
  for (;;) {
    try {
      return await transaction();
    } catch (error) {
      if (!isBusy(error) || performance.now() >= deadline) throw error;
      await sleep(retryPauseMs);
    }
  }
}
