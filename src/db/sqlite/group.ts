import { CompiledQuery, type Transaction } from "kysely";
import { prepare } from "../core/prepared.ts";
import type { DB } from "../core/schema.ts";
import { attemptsMax, type Caller, type Work } from "../core/write.ts";
import { isIdCollision } from "./errors.ts";

/** A write that waits for its turn. */
export interface QueuedWrite {
  readonly work: Work<unknown>;
  readonly caller: Caller | undefined;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** When to give up while another process holds the database, on the clock of `performance.now()`. */
  readonly deadline: number;
}

/** Writes that share a transaction. */
export type Group = readonly [QueuedWrite, ...QueuedWrite[]];

/** Resolves or rejects the promise of one write. To be called once the group is committed. */
export type Settle = () => void;

/** Thrown when one of several writes has failed: the group has to be rolled back, and run again with savepoints. */
export const groupFailed = new Error("a write of the group has failed");

/**
 * Runs the writes of a group in its transaction.
 *
 * @throws `groupFailed` if one of several writes fails; or what a single write throws.
 */
export async function runGroup(trx: Transaction<DB>, group: Group): Promise<Settle[]> {
  const settles: Settle[] = [];
  for (const { work, resolve } of group) {
    try {
      const value = await work(trx);
      settles.push(() => resolve(value));
    } catch (error) {
      throw group.length > 1 ? groupFailed : error;
    }
  }
  return settles;
}

/**
 * Runs the writes of a group in its transaction, each within a savepoint, so that the others stand if one fails.
 *
 * @throws if SQLite has rolled back the whole transaction by itself, as when the disk is full.
 */
export async function runGroupWithSavepoints(trx: Transaction<DB>, group: Group): Promise<Settle[]> {
  // A single write needs no savepoint: it has the transaction to itself.
  if (group.length === 1) return runGroup(trx, group);
  const settles: Settle[] = [];
  for (const write of group) settles.push(await runWithSavepoint(trx, write));
  return settles;
}

const savepoint = command("savepoint one");
const release = command("release one");
const rollback = command("rollback to one");

function command(sql: string) {
  const run = prepare(() => ({ compile: () => CompiledQuery.raw(sql) }));
  return (trx: Transaction<DB>) => run(trx, {});
}

async function runWithSavepoint(
  trx: Transaction<DB>,
  { work, resolve, reject }: QueuedWrite,
): Promise<Settle> {
  await savepoint(trx);
  try {
    const value = await retryOnIdCollision(
      () => work(trx),
      () => rollback(trx),
    );
    await release(trx);
    return () => resolve(value);
  } catch (error) {
    await rollback(trx);
    await release(trx);
    return () => reject(error);
  }
}

/** @param undo reverts what a failed attempt has written. */
export async function retryOnIdCollision<T>(run: () => Promise<T>, undo?: () => unknown): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run();
    } catch (error) {
      if (attempt === attemptsMax || !isIdCollision(error)) throw error;
      await undo?.();
    }
  }
}
