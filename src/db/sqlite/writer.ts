import { setTimeout as sleep } from "node:timers/promises";
import type { Kysely } from "kysely";
import type { DB } from "../core/schema.ts";
import {
  type Caller,
  CallerGone,
  type Work,
  WriteQueueFull,
  type Writer,
  waitingMax,
} from "../core/write.ts";
import { writeTimeoutFor } from "../core/write-timeout.ts";
import { retryPauseMs } from "./busy.ts";
import { isBusy } from "./errors.ts";
import {
  type Group,
  groupFailed,
  type QueuedWrite,
  retryOnIdCollision,
  runGroup,
  runGroupWithSavepoints,
  type Settle,
} from "./group.ts";
import type { SqliteHealth } from "./health.ts";

/** How many writes share a commit at most. The rest of the process waits while they run. */
const groupMax = 64;

/**
 * How long groups use savepoints after a write has failed, in milliseconds. A savepoint costs each write 6 us. Without them a
 * failed write makes its whole group run again, which a caller can provoke only once in this time.
 */
const savepointsMs = 1_000;

export interface WriterOptions {
  readonly health: SqliteHealth;
  /** Called after each commit. */
  readonly onCommit: () => void;
  /** Called when the replies to a group have been sent. It must not throw. The next group waits for it. */
  readonly afterReplies: () => void | Promise<void>;
}

/** Writes that were rolled back because another process holds the database. */
interface Blocked {
  readonly writes: readonly QueuedWrite[];
  readonly error: unknown;
}

/**
 * Commits writes in groups, as SQLite has one writer at a time: the writes that wait at a turn of the event loop share a
 * transaction and its sync of the disk, which costs more than everything else. They run in the order in which they came. If
 * one fails, the group runs again with savepoints and the others stand. If the commit fails, each runs again on its own.
 */
export function createWriter(db: Kysely<DB>, { health, onCommit, afterReplies }: WriterOptions): Writer {
  let queue: QueuedWrite[] = [];
  let running: Promise<void> | undefined;
  /** On the clock of `performance.now()`. */
  let savepointsUntil = Number.NEGATIVE_INFINITY;

  async function run(): Promise<void> {
    while (queue.length > 0) {
      await batch(() => queue.length);
      const [first, ...others] = queue.splice(0, groupMax).filter(isWanted);
      const blocked = first ? await commit([first, ...others]) : undefined;
      if (blocked) {
        queue.unshift(...blocked.writes);
        rejectOverdue(blocked.error);
        await sleep(retryPauseMs);
      } else {
        await nextTurn();
        await afterReplies();
      }
    }
    running = undefined;
  }

  /** @returns the writes to run again later, if another process holds the database. */
  async function commit(group: Group): Promise<Blocked | undefined> {
    let settles: Settle[];
    try {
      const usesSavepoints = performance.now() < savepointsUntil;
      const runAll = usesSavepoints ? runGroupWithSavepoints : runGroup;
      settles = await retryOnIdCollision(() => db.transaction().execute((trx) => runAll(trx, group)));
    } catch (error) {
      if (error === groupFailed) {
        savepointsUntil = performance.now() + savepointsMs;
        return commit(group);
      }
      if (isBusy(error)) return { writes: group, error };
      if (group.length > 1 && !health.hasFailed) return commitEach(group);
      for (const { reject } of group) reject(error);
      return;
    }
    onCommit();
    for (const settle of settles) settle();
  }

  async function commitEach(group: Group): Promise<Blocked | undefined> {
    for (const [i, write] of group.entries()) {
      const blocked = await commit([write]);
      if (blocked) return { ...blocked, writes: group.slice(i) };
    }
  }

  function rejectOverdue(error: unknown): void {
    const now = performance.now();
    for (const { deadline, reject } of queue) if (deadline <= now) reject(error);
    queue = queue.filter(({ deadline }) => deadline > now);
  }

  return {
    writeFor: <T>(caller: Caller | undefined, work: Work<T>) =>
      new Promise<T>((resolve, reject) => {
        if (queue.length >= waitingMax) return reject(new WriteQueueFull());
        const deadline = performance.now() + writeTimeoutFor(caller);
        queue.push({ work, caller, resolve: resolve as QueuedWrite["resolve"], reject, deadline });
        running ??= run();
      }),
    async [Symbol.asyncDispose]() {
      await running;
    },
  };
}

/**
 * Waits as long as each turn of the event loop brings more writes. Callers answer a commit in waves, and a commit for the first
 * few of a wave would hold up all the others: 1.2 times the throughput and 0.4 times the p99 (docs/performance.md#storage).
 */
async function batch(count: () => number): Promise<void> {
  for (let before = 0; before < count() && before < groupMax; ) {
    before = count();
    await nextTurn();
  }
}

function isWanted({ caller, reject }: QueuedWrite): boolean {
  if (!caller?.isStopped) return true;
  reject(new CallerGone());
  return false;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
