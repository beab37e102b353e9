import Database from "better-sqlite3";
import pg from "pg";
import { isFailure } from "./core/storage-failure.ts";
import { WriteQueueFull } from "./core/write.ts";
import { DatabaseSilent, NotReplicated } from "./postgres/pool.ts";

/** Whether the storage could not be reached or was busy for too long: the same call may succeed later. */
export function isStorageUnavailable(error: unknown): boolean {
  // Of a storage that has failed, too: the process ends, and the next one may do better.
  if (error instanceof WriteQueueFull || isFailure(error)) return true;
  if (error instanceof DatabaseSilent || error instanceof NotReplicated) return true;
  if (error instanceof Database.SqliteError)
    return /^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|NOMEM|PROTOCOL)/.test(error.code);
  if (error instanceof pg.DatabaseError) return unavailableStates.test(error.code ?? "");
  return isConnectionLost(error);
}

/**
 * Of PostgreSQL (its manual, appendix A): a connection that was cut (08), a transaction that lost against others once too
 * often (40), a standby (25006), no memory, disk or connections left (53), a statement that took too long (57014), a
 * server that stops or starts (57P), a lock that was not to be had (55P03), an I/O error (58).
 */
const unavailableStates = /^(08|40|25006|53|57014|57P|55P03|58)/;

const networkCodes: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
]);

/** What pg and the socket say has no code of PostgreSQL. */
function isConnectionLost(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if ("code" in error && networkCodes.has(String(error.code))) return true;
  return /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed|Query read timeout|timeout expired)/.test(
    error.message,
  );
}
