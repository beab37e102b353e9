import { type Dialect, PostgresDialect, type PostgresPool } from "kysely";
import pg from "pg";
import { openWritablePool } from "./hosts.ts";
import { guardPool } from "./pool.ts";
import { createStatementNames } from "./statements.ts";
import { exactTypes } from "./types.ts";
import type { PostgresTarget } from "./url.ts";

/** How many connections a process holds at most. */
const connectionsMax = 10;

/** How long to wait for one of them, in milliseconds. */
const connectionTimeoutMs = 3_000;

/** How long to wait for an answer, in milliseconds. A broken network says nothing. */
const answerTimeoutMs = 5_000;

/**
 * When the server cancels a statement, in milliseconds. After `answerTimeoutMs`, so that no call still waits for it: a commit
 * whose wait for the standby is cancelled counts as successful.
 */
const statementTimeoutMs = 10_000;

/**
 * Connects to PostgreSQL on first use.
 *
 * @param onError is called when an idle connection is lost. The next call makes a new one.
 */
export function createDialect(target: PostgresTarget, onError: (error: Error) => void): Dialect {
  const pool = openPool(target, onError, {
    max: connectionsMax,
    idleTimeoutMillis: 30_000,
    query_timeout: answerTimeoutMs,
    statement_timeout: statementTimeoutMs,
    idle_in_transaction_session_timeout: statementTimeoutMs,
    application_name: "countersign",
  });
  return new PostgresDialect({
    pool: guardPool(pool, target.prepares ? createStatementNames() : () => undefined),
  });
}

/** One connection without statement timeouts: a migration, or the wait for another process that migrates, may take long. */
export function createMigrationDialect(target: PostgresTarget): Dialect {
  const pool = openPool(target, () => {}, { max: 1, application_name: "countersign migrate" });
  return new PostgresDialect({ pool: pool as unknown as PostgresPool });
}

function openPool(
  { urls, isWritable }: PostgresTarget,
  onError: (error: Error) => void,
  options: pg.PoolConfig,
): pg.Pool {
  const all = {
    ...options,
    connectionTimeoutMillis: connectionTimeoutMs,
    keepAlive: true,
    types: exactTypes,
  };
  const pool = isWritable ? openWritablePool(urls, all) : new pg.Pool({ ...all, connectionString: urls[0] });
  // The pool reports errors of idle connections. One that breaks between two statements of a transaction has only this
  // listener: without it the process would end.
  pool.on("connect", (client) => client.on("error", () => {}));
  pool.on("error", onError);
  return pool;
}
