import Database from "better-sqlite3";

/**
 * The storage can no longer be trusted by this process: the disk failed, or the database is damaged or was taken away while
 * it was in use. Nothing more is read or written, and the process should end: whoever starts it again has the state of the disk.
 */
export class StorageFailed extends Error {
  override readonly name = "StorageFailed";
}

/** The database is damaged, cut off, of a newer program or not ours. It was left as it is: an operator has to decide. */
export class DatabaseRefused extends Error {
  override readonly name = "DatabaseRefused";
}

/**
 * Whether SQLite tells of a disk that failed, or of a damaged database. After a failed fsync the system may have dropped what
 * was to be written, so that a second one succeeds for nothing: not to be tried again (F04).
 */
export function isFailure(error: unknown): boolean {
  if (error instanceof StorageFailed) return true;
  if (!(error instanceof Database.SqliteError)) return false;
  const { code } = error;
  return damage.test(code) || (code.startsWith("SQLITE_IOERR") && !passing.has(code));
}

/** Whether SQLite tells of a damaged database. */
export function isDamage(error: unknown): error is InstanceType<typeof Database.SqliteError> {
  return error instanceof Database.SqliteError && damage.test(error.code);
}

const damage = /^SQLITE_(CORRUPT|NOTADB)/;

/** Of memory, or of a disk that has no room for the shared index of the log: they pass. */
const passing: ReadonlySet<string> = new Set([
  "SQLITE_IOERR_NOMEM",
  "SQLITE_IOERR_SHMSIZE",
  "SQLITE_IOERR_BLOCKED",
  "SQLITE_IOERR_GETTEMPPATH",
]);
