import { type Dialect, Kysely, type KyselyPlugin, sql } from "kysely";
import { createGroupWriter } from "./group-writer.ts";
import { isMigrated, migrate } from "./migrate.ts";
import { openPostgres } from "./postgres.ts";
import { postgresTypes } from "./postgres-types.ts";
import type { DB } from "./schema.ts";
import { openSqlite } from "./sqlite.ts";
import { createTransactionWriter } from "./transaction-writer.ts";
import type { Write, WriteFor, Writer } from "./write.ts";

export type EngineName = "sqlite" | "postgres";

/** The storage. Reads go through `db`, writes through `write` and nothing else. */
export interface Store extends AsyncDisposable {
  readonly engine: EngineName;
  readonly db: Kysely<DB>;
  readonly write: Write;
  readonly writeFor: WriteFor;
  /** Calls the listener after each commit of this process, which may be of several writes. Returns how to stop that. It must not throw. */
  onCommit(listener: () => void): () => void;
  /** Runs the migrations that are missing and returns their names. */
  migrate(): Promise<string[]>;
  /** Whether the database answers and every migration has run. Never rejects. */
  isReady(): Promise<boolean>;
}

export interface StoreOptions {
  /** Told of errors that no call hears of, such as a connection that was lost while nobody used it. */
  readonly onError?: (error: Error) => void;
}

interface Engine {
  readonly name: EngineName;
  readonly dialect: Dialect;
  /** For the migrations. */
  readonly plugins: KyselyPlugin[];
  readonly createWriter: (db: Kysely<DB>, committed: () => void) => Writer;
}

/**
 * Opens the database that a URL names.
 *
 * @param url `sqlite:PATH`, or `postgres://user:password@host:port/database`, which is connected to when it is first used.
 * @throws if the file is damaged or cannot be opened, or the URL is neither.
 */
export function openStore(url: string, { onError = () => {} }: StoreOptions = {}): Store {
  const { name, dialect, plugins, createWriter } = engineOf(url, onError);
  const db = new Kysely<DB>({ dialect });
  const listeners = new Set<() => void>();
  const { writeFor, ...writer } = createWriter(db, () => {
    for (const listener of listeners) listener();
  });
  return {
    engine: name,
    db,
    write: (work) => writeFor(undefined, work),
    writeFor,
    onCommit(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    migrate: () => migrate(plugins.reduce((db, plugin) => db.withPlugin(plugin), db)),
    async isReady() {
      try {
        await sql`select 1`.execute(db);
        return await isMigrated(db);
      } catch {
        return false;
      }
    },
    async [Symbol.asyncDispose]() {
      await writer[Symbol.asyncDispose]();
      await db.destroy();
    },
  };
}

function engineOf(url: string, onError: (error: Error) => void): Engine {
  if (url.startsWith("sqlite:")) {
    const dialect = openSqlite(url.slice("sqlite:".length));
    return { name: "sqlite", dialect, plugins: [], createWriter: createGroupWriter };
  }
  if (/^postgres(ql)?:\/\//.test(url)) {
    const dialect = openPostgres(url, onError);
    return { name: "postgres", dialect, plugins: [postgresTypes], createWriter: createTransactionWriter };
  }
  throw new Error("the database URL must be sqlite:PATH or postgres://user:password@host:port/database");
}
