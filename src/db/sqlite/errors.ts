import Database from "better-sqlite3";

/** Whether SQLite could not read or write, or was busy for too long: the same call may succeed later. */
export function isUnavailable(error: unknown): boolean {
  return (
    isDamage(error) ||
    isSqliteError(error, /^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|NOMEM|PROTOCOL)/)
  );
}

/**
 * Whether the disk failed or the database is damaged. Don't retry: after a failed fsync the system may drop the unwritten
 * pages, and the next fsync succeeds without them (F04).
 */
export function isDiskFailure(error: unknown): boolean {
  return isDamage(error) || (isSqliteError(error, /^SQLITE_IOERR/) && !transient.has(error.code));
}

/** I/O errors from a lack of memory, or of room for the shared index of the log. They go away. */
const transient: ReadonlySet<string> = new Set([
  "SQLITE_IOERR_NOMEM",
  "SQLITE_IOERR_SHMSIZE",
  "SQLITE_IOERR_BLOCKED",
  "SQLITE_IOERR_GETTEMPPATH",
]);

/** Whether the database is damaged, or is none. */
export function isDamage(error: unknown): error is SqliteError {
  return isSqliteError(error, /^SQLITE_(CORRUPT|NOTADB)/);
}

/** Whether there was no room, or no permission, to write. */
export function isWriteRefused(error: unknown): boolean {
  return isSqliteError(error, /^SQLITE_(FULL|READONLY|CANTOPEN|IOERR_SHMSIZE)/);
}

/** Whether another process holds the database: nothing was started. */
export function isBusy(error: unknown): boolean {
  return isSqliteError(error, /^SQLITE_BUSY/);
}

/** Whether another process made the same id in the same millisecond (see id.ts). */
export function isIdCollision(error: unknown): boolean {
  return isSqliteError(error, /^SQLITE_CONSTRAINT_(PRIMARYKEY|ROWID)$/);
}

type SqliteError = InstanceType<typeof Database.SqliteError>;

function isSqliteError(error: unknown, code: RegExp): error is SqliteError {
  return error instanceof Database.SqliteError && code.test(error.code);
}
