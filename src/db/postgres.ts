import { type Dialect, PostgresDialect, type PostgresPool, type PostgresPoolClient } from "kysely";
import pg from "pg";
import { exactTypes } from "./postgres-types.ts";

/** How many connections a process holds at most, and how long it waits for one of them, in milliseconds. */
const connectionsMax = 10;
const connectionTimeoutMs = 5_000;

/** Longer than any statement of ours takes: the server ends those that hang. */
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
    statement_timeout: statementTimeoutMs,
    idle_in_transaction_session_timeout: statementTimeoutMs,
    application_name: "countersign",
    types: exactTypes,
  });
  // The pool hears of the connections that nobody uses, and passes that on. One that is lost between two statements of a
  // transaction has only this listener, and without it the process ends.
  pool.on("connect", (client) => client.on("error", () => {}));
  pool.on("error", onError);
  return new PostgresDialect({ pool: prepares ? preparing(pool) : (pool as unknown as PostgresPool) });
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
function preparing(pool: pg.Pool): PostgresPool {
  const names = new Map<string, string>();

  function nameOf(text: string): string | undefined {
    const known = names.get(text);
    if (known !== undefined || names.size >= namedMax || !/^(select|insert|update|delete|with)\b/.test(text))
      return known;
    const name = `countersign_${names.size}`;
    names.set(text, name);
    return name;
  }

  return {
    async connect() {
      const client = await pool.connect();
      return {
        query: (text: string, values: unknown[]) => client.query({ name: nameOf(text), text, values }),
        release: () => client.release(),
      } as unknown as PostgresPoolClient;
    },
    end: () => pool.end(),
  } as unknown as PostgresPool;
}
