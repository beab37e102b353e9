import Database from "better-sqlite3";
import { isFailure, StorageFailed } from "../core/storage-failure.ts";

/** What the statements of a SQLite database have told of its disk. */
export class SqliteHealth {
  #failure: StorageFailed | undefined;
  #takesWrites = true;
  readonly #onFailure: (error: Error) => void;

  /** @param onFailure is told once, when the storage has failed. It must not throw. */
  constructor(onFailure: (error: Error) => void) {
    this.#onFailure = onFailure;
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** False from a write that found no room, or no right to write, to the next commit. */
  get takesWrites(): boolean {
    return this.#takesWrites;
  }

  committed(): void {
    this.#takesWrites = true;
  }

  /**
   * Runs a statement.
   *
   * @throws StorageFailed if the storage has failed before; or what the statement throws.
   */
  run<T>(statement: () => T): T {
    if (this.#failure) throw this.#failure;
    try {
      return statement();
    } catch (error) {
      this.hear(error);
      throw error;
    }
  }

  /** @returns the failure: the first one, if there was one before. */
  fail(message: string, cause?: unknown): StorageFailed {
    if (this.#failure) return this.#failure;
    this.#failure = new StorageFailed(message, { cause });
    this.#onFailure(this.#failure);
    return this.#failure;
  }

  /** @returns whether it is one of SQLite. What that tells of the disk is kept. */
  hear(error: unknown): boolean {
    if (!(error instanceof Database.SqliteError)) return false;
    if (isFailure(error)) this.fail(`the disk failed, or the database is damaged (${error.code})`, error);
    else if (noRoom.test(error.code)) this.#takesWrites = false;
    return true;
  }
}

const noRoom = /^SQLITE_(FULL|READONLY|CANTOPEN|IOERR_SHMSIZE)/;
