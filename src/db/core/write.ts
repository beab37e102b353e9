import type { Transaction } from "kysely";
import type { DB } from "./schema.ts";

/**
 * The one way to write. `work` runs in a transaction and may run again from the start, so its only effects are those on `trx`.
 * The promise resolves after the commit: the result may be sent to a caller.
 *
 * @throws WriteQueueFull or CallerGone if the work was not started; or what `work` or the database throws.
 */
export type Write = <T>(work: Work<T>) => Promise<T>;

/** Like `Write`, on behalf of a caller who may go away before the work starts. */
export type WriteFor = <T>(caller: Caller | undefined, work: Work<T>) => Promise<T>;

export type Work<T> = (trx: Transaction<DB>) => Promise<T>;

/** The caller that waits for a write. */
export interface Caller {
  /** Whether the caller has stopped waiting. Its write is then not started. */
  readonly isStopped: boolean;
  /** How long the caller will still wait, in milliseconds. Undefined: it has no deadline. */
  timeoutMs?(): number | undefined;
}

/** Disposing a writer waits for all pending writes. */
export interface Writer extends AsyncDisposable {
  readonly writeFor: WriteFor;
}

/** How many calls may wait for the database: about a second's work on a slow disk. Refusing more at once beats a timeout. */
export const waitingMax = 2_000;

/** How often a write that conflicts with another is tried. */
export const attemptsMax = 5;

/** Too many writes are waiting. The same call may succeed later. */
export class WriteQueueFull extends Error {
  override readonly name = "WriteQueueFull";

  constructor() {
    super("too many writes are waiting");
  }
}

/** The caller went away before its write started. */
export class CallerGone extends Error {
  // The name of the error of an aborted call (DOMException): nothing is wrong, so it isn't logged as an error.
  override readonly name = "AbortError";

  constructor() {
    super("the caller went away before its write started");
  }
}
