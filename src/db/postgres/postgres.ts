import { type Dialect, type Kysely, PostgresDialect, type PostgresPool, sql } from "kysely";
import pg from "pg";
import type { DB } from "../core/schema.ts";
import { openWritablePool } from "./hosts.ts";
import { guardedPool } from "./pool.ts";
import { exactTypes } from "./types.ts";

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
 * @param url `postgres://user:password@host:port/database`. Parameters such as `sslmode` are those of libpq. Of several hosts
 *   (`host:port,host:port`), and with `target_session_attrs=read-write`, only one that takes writes is connected to. With
 *   `prepare=off` no statement is prepared by name, for a pooler in transaction mode that does not keep track of them.
 * @param onError is told when a connection that nobody uses is lost. The next call makes a new one.
 */
export function openPostgres(url: string, onError: (error: Error) => void): Dialect {
  const { prepares, ...servers } = parseUrl(url);
  const pool = openPool(servers, {
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
  const pool = openPool(parseUrl(url), {
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

interface Servers {
  readonly urls: readonly string[];
  /** Whether a connection must take writes. */
  readonly isWritable: boolean;
}

function openPool({ urls, isWritable }: Servers, options: pg.PoolConfig): pg.Pool {
  return isWritable
    ? openWritablePool(urls, options)
    : new pg.Pool({ ...options, connectionString: urls[0] });
}

/** @throws if it is none. The message never quotes it: it holds a password. */
function parseUrl(text: string): Servers & { prepares: boolean } {
  // Several hosts are no URL: RFC 3986 §3.2 has one. They are written as in libpq.
  const [, start = "", hosts = "", rest = ""] = /^([^:]+:\/\/(?:[^/?#]*@)?)([^/?#]*)(.*)$/s.exec(text) ?? [];
  const urls = hosts.split(",").map((host) => {
    const one = `${start}${host}${rest}`;
    if (!URL.canParse(one))
      throw new Error("the database URL must be postgres://user:password@host:port/database");
    return new URL(one);
  });
  const parameter = (name: string, values: readonly string[]) => {
    const value = urls[0]?.searchParams.get(name) ?? undefined;
    for (const url of urls) url.searchParams.delete(name);
    if (value === undefined || values.includes(value)) return value;
    throw new Error(`${name} in the database URL must be ${values.join(" or ")}`);
  };
  const prepares = parameter("prepare", ["on", "off"]) !== "off";
  const isWritable = parameter("target_session_attrs", ["read-write"]) !== undefined || urls.length > 1;
  return { urls: urls.map(({ href }) => href), isWritable, prepares };
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
