import Database from "better-sqlite3";
import { CompiledQuery, type Kysely, type Transaction } from "kysely";
import { isBusy, patienceMs, patiently } from "./patience.ts";
import type { DB } from "./schema.ts";

/**
 * The one way to write. `work` runs in a transaction, is database-only, and may be run again from the start, so it
 * has no effect but on `trx`. The promise resolves after the commit: what it resolves to may be told to a caller.
 *
 * @throws `WriteQueueFull`, `CallerGone`: then it was not begun.
 */
export type Write = <T>(work: Work<T>) => Promise<T>;

/** Writes for someone who may go away before. Undefined: for nobody in particular. */
export type WriteFor = <T>(caller: Caller | undefined, work: Work<T>) => Promise<T>;

export type Work<T> = (trx: Transaction<DB>) => Promise<T>;

/** Whoever waits for a write. */
export interface Caller {
  /** Whether it waits no longer: a write that has not begun by then is not begun at all. */
  readonly isStopped: boolean;
}

/** More writes wait than can be done in good time. The same call may succeed later. */
export class WriteQueueFull extends Error {
  override readonly name = "WriteQueueFull";
}

/** The caller went away before its write was begun. */
export class CallerGone extends Error {
  // As that of a call that was aborted: nothing is wrong, and nobody has to hear of it.
  override readonly name = "AbortError";
}

export interface GroupWriter extends AsyncDisposable {
  readonly writeFor: WriteFor;
}

/** About a second's work, with a slow disk. Whoever comes later than that is better told at once. */
const waitingMax = 2_000;

/** How many writes share a commit at most: what they take together is how long everything else of the process waits. */
const groupMax = 64;

const runsMax = 3;

interface Waiting {
  readonly work: Work<unknown>;
  readonly caller: Caller | undefined;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** Until when it is tried, on the clock of `performance.now()`. */
  readonly end: number;
}

type Group = readonly [Waiting, ...Waiting[]];

/** Tells a caller what became of its write. */
type Outcome = () => void;

/**
 * Group commit, for an engine with one writer at a time: the writes that wait at a turn of the event loop share one
 * transaction, and so the one sync of the disk, which costs more than all else. They run in the order in which they came.
 * Each has its savepoint: if it fails, the others stand. If the commit fails, each is run again on its own.
 *
 * @param committed is called after each commit.
 */
export function createGroupWriter(db: Kysely<DB>, committed: () => void): GroupWriter {
  const waiting: Waiting[] = [];
  let running: Promise<void> | undefined;

  async function run(): Promise<void> {
    while (waiting.length > 0) {
      // Only now: what came with the same turn of the event loop goes along.
      await nextTurn();
      const [first, ...others] = waiting.splice(0, groupMax).filter(isWanted);
      if (first) await commit([first, ...others]);
    }
    running = undefined;
  }

  async function commit(group: Group): Promise<void> {
    const [first, ...others] = group;
    const transaction = () => db.transaction().execute((trx) => runGroup(trx, group));
    let outcomes: Outcome[];
    try {
      outcomes = await patiently(() => againOnCollision(transaction), first.end);
    } catch (error) {
      // Nobody has heard of anything yet, and nothing stands.
      if (others.length > 0 && !isBusy(error)) for (const one of group) await commit([one]);
      else for (const { reject } of group) reject(error);
      return;
    }
    committed();
    for (const tell of outcomes) tell();
  }

  return {
    writeFor: <T>(caller: Caller | undefined, work: Work<T>) =>
      new Promise<T>((resolve, reject) => {
        if (waiting.length >= waitingMax) return reject(new WriteQueueFull("too many writes wait"));
        const end = performance.now() + patienceMs;
        waiting.push({ work, caller, resolve: resolve as Waiting["resolve"], reject, end });
        running ??= run();
      }),
    async [Symbol.asyncDispose]() {
      await running;
    },
  };
}

function isWanted({ caller, reject }: Waiting): boolean {
  if (!caller?.isStopped) return true;
  reject(new CallerGone("the caller went away before its write"));
  return false;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** @returns what to tell each caller once the commit stands. */
async function runGroup(trx: Transaction<DB>, group: Group): Promise<Outcome[]> {
  const [first, ...others] = group;
  // Alone it needs no savepoint: the transaction is its own.
  if (others.length === 0) {
    const value = await first.work(trx);
    return [() => first.resolve(value)];
  }
  const outcomes: Outcome[] = [];
  for (const one of group) outcomes.push(await runSaved(trx, one));
  return outcomes;
}

const savepoint = CompiledQuery.raw("savepoint one");
const release = CompiledQuery.raw("release one");
const rollback = CompiledQuery.raw("rollback to one");

async function runSaved(trx: Transaction<DB>, { work, resolve, reject }: Waiting): Promise<Outcome> {
  await trx.executeQuery(savepoint);
  try {
    const value = await againOnCollision(
      () => work(trx),
      () => trx.executeQuery(rollback),
    );
    await trx.executeQuery(release);
    return () => resolve(value);
  } catch (error) {
    // Throws if SQLite has rolled everything back by itself, as when the disk is full: then each runs again on its own.
    await trx.executeQuery(rollback);
    await trx.executeQuery(release);
    return () => reject(error);
  }
}

/** @param undo what the failed run has left behind. */
async function againOnCollision<T>(run: () => Promise<T>, undo?: () => Promise<unknown>): Promise<T> {
  for (let count = 1; ; count++) {
    try {
      return await run();
    } catch (error) {
      if (count === runsMax || !isIdCollision(error)) throw error;
      await undo?.();
    }
  }
}

/** Whether the storage could not be reached or was busy for too long: the same call may succeed later. */
export function isStorageUnavailable(error: unknown): boolean {
  if (error instanceof WriteQueueFull) return true;
  return (
    error instanceof Database.SqliteError && /^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY)/.test(error.code)
  );
}

/** Another process made the same id in the same millisecond (see id.ts). */
function isIdCollision(error: unknown): boolean {
  if (!(error instanceof Database.SqliteError)) return false;
  return error.code === "SQLITE_CONSTRAINT_PRIMARYKEY" || error.code === "SQLITE_CONSTRAINT_ROWID";
}
