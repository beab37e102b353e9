import Database from "better-sqlite3";
import { sql } from "kysely";
import { StorageFailed } from "../core/storage-failure.ts";
import type { Write } from "../core/write.ts";
import { isDiskFailure, isWriteRefused } from "./errors.ts";

/** Whether the disk of a SQLite database works, learned from the statements that run. */
export class SqliteHealth {
  #failure: StorageFailed | undefined;
  #takesWrites = true;
  #probe: Promise<boolean> | undefined;
  readonly #onFailure: (error: Error) => void;

  /** @param onFailure is called once, when the storage has failed. It must not throw. */
  constructor(onFailure: (error: Error) => void) {
    this.#onFailure = onFailure;
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /**
   * Runs a statement and observes its error.
   *
   * @throws StorageFailed if the storage has failed before; or what the statement throws.
   */
  run<T>(statement: () => T): T {
    if (this.#failure) throw this.#failure;
    try {
      return statement();
    } catch (error) {
      this.observe(error);
      throw error;
    }
  }

  /** @returns whether it is an error of SQLite. */
  observe(error: unknown): boolean {
    if (!(error instanceof Database.SqliteError)) return false;
    if (isDiskFailure(error)) this.fail(`the disk failed, or the database is damaged (${error.code})`, error);
    else if (isWriteRefused(error)) this.#takesWrites = false;
    return true;
  }

  committed(): void {
    this.#takesWrites = true;
  }

  /** @returns the first failure, which may be an earlier one. */
  fail(message: string, cause?: unknown): StorageFailed {
    if (this.#failure) return this.#failure;
    this.#failure = new StorageFailed(message, { cause });
    this.#onFailure(this.#failure);
    return this.#failure;
  }

  /**
   * Whether there is room to write, as of the last write that failed for the lack of it. It tries a write then: callers are
   * sent elsewhere while the service isn't ready, so no other write would show that there is room again.
   */
  async takesWrites(write: Write): Promise<boolean> {
    if (this.#takesWrites) return true;
    this.#probe ??= tryWrite(write).finally(() => {
      this.#probe = undefined;
    });
    return this.#probe;
  }
}

/** Tries the smallest write there is: `user_version` is unused. */
function tryWrite(write: Write): Promise<boolean> {
  return write((trx) => sql`pragma user_version = 0`.execute(trx)).then(
    () => true,
    () => false,
  );
}
