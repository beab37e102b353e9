import { type Dialect, type Kysely, PostgresDialect, type PostgresPool, sql } from "kysely";
import pg from "pg";
import { guardedPool } from "./postgres-pool.ts";
import { exactTypes } from "./postgres-types.ts";
import type { DB } from "./schema.ts";

/** How many connections a process holds at most, and how long it waits for one of them, in milliseconds. */
const connectionsMax = 10;
const connectionTimeoutMs = 3_000;

/** How long it waits for an answer, in milliseconds: a network that fails says nothing. */
const answerTimeoutMs = 5_000;

/**
 * When the server ends a statement, in milliseconds. Later than nobody waits for it any more: a commit whose wait for the
 * standby is ended counts as done.
 */
const statementTimeoutMs = 10_000;

/** How many statements are prepared by name. Ours are fewer; lists of many lengths would make more of them. */
const namedMax = 500;

/**
 * Connects to PostgreSQL when it is first used.
 *
 * @param url `postgres://user:password@host:port/database`. Parameters such as `sslmode` are those of libpq. With
 *   `prepare=off` no statement is prepared by name, for a pooler in transaction mode that does not keep track of them.
 * @param onError is told when a connection that nobody uses is lost. The next call makes a new one.
 */
export function openPostgres(url: string, onError: (error: Error) => void): Dialect {
  const { connectionString, prepares } = parseUrl(url);
  const pool = new pg.Pool({
    connectionString,
    max: connectionsMax,
    connectionTimeoutMillis: connectionTimeoutMs,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    query_timeout: answerTimeoutMs,
    statement_timeout: statementTimeoutMs,
    idle_in_transaction_session_timeout: statementTimeoutMs,
    application_name: "countersign",
    types: exactTypes,
  });
  // The pool hears of the connections that nobody uses, and passes that on. One that is lost between two statements of a
  // transaction has only this listener, and without it the process ends.
  pool.on("connect", (client) => client.on("error", () => {}));
  pool.on("error", onError);
  return new PostgresDialect({ pool: guardedPool(pool, prepares ? namedOnce() : () => undefined) });
}

/**
 * Opens one connection for migrations. They and whoever waits for them take as long as the tables are large, and are ended by
 * nobody.
 */
export function openPostgresToMigrate(url: string): Dialect {
  const { connectionString } = parseUrl(url);
  const pool = new pg.Pool({
    connectionString,
    max: 1,
    connectionTimeoutMillis: connectionTimeoutMs,
    keepAlive: true,
    application_name: "countersign migrate",
    types: exactTypes,
  });
  pool.on("connect", (client) => client.on("error", () => {}));
  pool.on("error", () => {});
  return new PostgresDialect({ pool: pool as unknown as PostgresPool });
}

/** Whether it is neither a standby nor set to read-only. */
export async function takesWrites(db: Kysely<DB>): Promise<boolean> {
  const { rows } = await sql<{ is: boolean }>`
    select current_setting('transaction_read_only') = 'off' as is`.execute(db);
  return rows[0]?.is === true;
}

/** @throws if it is none. The message never quotes it: it holds a password. */
function parseUrl(text: string): { connectionString: string; prepares: boolean } {
  if (!URL.canParse(text))
    throw new Error("the database URL must be postgres://user:password@host:port/database");
  const url = new URL(text);
  const prepare = url.searchParams.get("prepare");
  if (prepare !== null && prepare !== "on" && prepare !== "off")
    throw new Error("prepare in the database URL must be on or off");
  url.searchParams.delete("prepare");
  return { connectionString: url.href, prepares: prepare !== "off" };
}

/** Lets the server parse and plan each statement once a connection, instead of at every call. */
function namedOnce(): (text: string) => string | undefined {
  const names = new Map<string, string>();
  return (text) => {
    const known = names.get(text);
    if (known !== undefined || names.size >= namedMax || !/^(select|insert|update|delete|with)\b/.test(text))
      return known;
    const name = `countersign_${names.size}`;
    names.set(text, name);
    return name;
  };
}
