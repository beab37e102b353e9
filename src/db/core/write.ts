import type { Transaction } from "kysely";
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
  /** How long it still waits, in milliseconds. Undefined: as long as it takes. */
  timeoutMs?(): number | undefined;
}

/** To dispose it: what waits is done. */
export interface Writer extends AsyncDisposable {
  readonly writeFor: WriteFor;
}

/** About a second's work, with a slow disk. Whoever comes later than that is better told at once. */
export const waitingMax = 2_000;

/** How often a write is run at most: two of them may get in each other's way. */
export const runsMax = 5;

/** More writes wait than can be done in good time. The same call may succeed later. */
export class WriteQueueFull extends Error {
  override readonly name = "WriteQueueFull";

  constructor() {
    super("too many writes wait");
  }
}

/** The caller went away before its write was begun. */
export class CallerGone extends Error {
  // As that of a call that was aborted: nothing is wrong, and nobody has to hear of it.
  override readonly name = "AbortError";

  constructor() {
    super("the caller went away before its write");
  }
}
