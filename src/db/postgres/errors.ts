import pg from "pg";

/** The database gave no connection, or no answer, in time. The same call may succeed later. */
export class DatabaseTimeout extends Error {
  override readonly name = "DatabaseTimeout";
}

/** Committed on the primary, but not confirmed by the standby: the commit may not survive a failover. */
export class NotReplicated extends Error {
  override readonly name = "NotReplicated";

  constructor() {
    super("the standby did not confirm the commit");
  }
}

/** Whether the database could not be reached or was busy for too long: the same call may succeed later. */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof DatabaseTimeout || error instanceof NotReplicated) return true;
  if (error instanceof pg.DatabaseError) return unavailableStates.test(error.code ?? "");
  return isConnectionLost(error);
}

/**
 * SQLSTATEs (PostgreSQL manual, appendix A): connection exceptions (08), a transaction that lost to others (40), a standby
 * (25006), insufficient resources (53), a statement timeout (57014), a shutdown or startup (57P), a lock timeout (55P03),
 * system errors such as I/O (58).
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

/** Errors of pg and of the socket have no SQLSTATE. */
function isConnectionLost(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if ("code" in error && networkCodes.has(String(error.code))) return true;
  return /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed|Query read timeout|timeout expired)/.test(
    error.message,
  );
}

/** Whether a transaction conflicted with another: serialization_failure, deadlock_detected, unique_violation. */
export function isConflict(error: unknown): boolean {
  return error instanceof pg.DatabaseError && ["40001", "40P01", "23505"].includes(error.code ?? "");
}

/** Whether the server did not answer in time, on a new connection or to a statement. */
export function isAnswerTimeout(error: unknown): boolean {
  return (
    error instanceof Error &&
    /^(Query read timeout|Connection terminated due to connection|timeout expired)/.test(error.message)
  );
}

/** Whether no connection of the pool became free in time, which says nothing about the server. */
export function isPoolTimeout(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("timeout exceeded when trying to connect");
}

/**
 * Whether the connection can be used after this error. Not if an answer may still arrive on it, and not if its server shuts
 * down (57P) or became read-only (25006): a new connection may reach the server that replaced it.
 */
export function isUsableAfter(error: unknown): boolean {
  return error instanceof pg.DatabaseError && !/^(57P|08|25006)/.test(error.code ?? "");
}
