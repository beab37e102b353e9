import Database from "better-sqlite3";
import type { Kysely, Transaction } from "kysely";
import type { DB } from "./schema.ts";

/**
 * The one way to write. `work` runs in a transaction, is database-only, and may be run again from the start, so it
 * has no effect but on `trx`. The promise resolves after the commit: what it resolves to may be told to a caller.
 */
export type Write = <T>(work: (trx: Transaction<DB>) => Promise<T>) => Promise<T>;

const runsMax = 3;

export function createWriter(db: Kysely<DB>): Write {
  return async (work) => {
    for (let run = 1; ; run++) {
      try {
        return await db.transaction().execute(work);
      } catch (error) {
        if (run === runsMax || !isIdCollision(error)) throw error;
      }
    }
  };
}

/** Whether the storage could not be reached or was busy for too long: the same call may succeed later. */
export function isStorageUnavailable(error: unknown): boolean {
  return (
    error instanceof Database.SqliteError && /^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY)/.test(error.code)
  );
}

/** Another process made the same id in the same millisecond (see id.ts). */
function isIdCollision(error: unknown): boolean {
  if (!(error instanceof Database.SqliteError)) return false;
  return error.code === "SQLITE_CONSTRAINT_PRIMARYKEY" || error.code === "SQLITE_CONSTRAINT_ROWID";
}
