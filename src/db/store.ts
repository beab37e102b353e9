import { type Dialect, Kysely, type KyselyPlugin, sql } from "kysely";
import type { DB } from "./core/schema.ts";
import type { Write, WriteFor, Writer } from "./core/write.ts";
import { isMigrated, migrate } from "./migrate.ts";
import { openPostgres, openPostgresToMigrate, takesWrites } from "./postgres/postgres.ts";
import { createTransactionWriter } from "./postgres/transaction-writer.ts";
import { postgresTypes } from "./postgres/types.ts";
import { createGroupWriter } from "./sqlite/group-writer.ts";
import { openSqlite, type Sqlite } from "./sqlite/sqlite.ts";

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
  /** Told once that the storage has failed, and that no call will succeed any more: the process should end. */
  readonly onFailure?: (error: Error) => void;
}

interface Engine {
  readonly name: EngineName;
  readonly dialect: Dialect;
  /** For the migrations. */
  readonly plugins: KyselyPlugin[];
  /** A connection of their own, which is closed when they have run. Undefined: they run on that of the rest. */
  readonly toMigrate?: () => Dialect;
  readonly createWriter: (db: Kysely<DB>, committed: () => void) => Writer;
  /** Runs what migrates, as the engine needs it. */
  readonly migrating: <T>(run: () => Promise<T>) => Promise<T>;
  /** Called when migrations have run. */
  readonly migrated: () => void;
  /** Whether a write would find room, as far as is known. May try it. */
  readonly takesWrites: (write: Write, db: Kysely<DB>) => Promise<boolean>;
}

/**
 * Opens the database that a URL names.
 *
 * @param url `sqlite:PATH`, or `postgres://user:password@host:port/database`, which is connected to when it is first used.
 * @throws if the file is damaged or cannot be opened, or the URL is neither.
 */
export function openStore(url: string, options: StoreOptions = {}): Store {
  const engine = engineOf(url, options);
  const { name, dialect, plugins, toMigrate, createWriter, migrating, migrated, takesWrites } = engine;
  const db = new Kysely<DB>({ dialect });
  const listeners = new Set<() => void>();
  const { writeFor, ...writer } = createWriter(db, () => {
    for (const listener of listeners) listener();
  });
  const write: Write = (work) => writeFor(undefined, work);
  return {
    engine: name,
    db,
    write,
    writeFor,
    onCommit(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async migrate() {
      const own = toMigrate && new Kysely<DB>({ dialect: toMigrate() });
      const withTypes = plugins.reduce((db, plugin) => db.withPlugin(plugin), own ?? db);
      const ran = await migrating(() => migrate(withTypes)).finally(() => own?.destroy());
      if (ran.length > 0) migrated();
      return ran;
    },
    async isReady() {
      try {
        await sql`select 1`.execute(db);
        return (await isMigrated(db)) && (await takesWrites(write, db));
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

function engineOf(url: string, { onError = () => {}, onFailure = () => {} }: StoreOptions): Engine {
  if (url.startsWith("sqlite:"))
    return sqliteEngine(openSqlite(url.slice("sqlite:".length), onFailure, onError));
  if (/^postgres(ql)?:\/\//.test(url)) {
    return {
      name: "postgres",
      dialect: openPostgres(url, onError),
      plugins: [postgresTypes],
      toMigrate: () => openPostgresToMigrate(url),
      createWriter: createTransactionWriter,
      migrating: (run) => run(),
      migrated: () => {},
      takesWrites: (_, db) => takesWrites(db),
    };
  }
  throw new Error("the database URL must be sqlite:PATH or postgres://user:password@host:port/database");
}

function sqliteEngine({ dialect, health, checkpoint, checkpointAll, withoutForeignKeys }: Sqlite): Engine {
  let trial: Promise<boolean> | undefined;
  // The smallest write there is: this number is not used for anything.
  const tryWrite = (write: Write) =>
    write((trx) => sql`pragma user_version = 0`.execute(trx)).then(
      () => true,
      () => false,
    );
  return {
    name: "sqlite",
    dialect,
    plugins: [],
    createWriter: (db, committed) => createGroupWriter(db, committed, checkpoint),
    migrating: withoutForeignKeys,
    // Or whoever loses the log would start with an empty database, and not notice.
    migrated: checkpointAll,
    async takesWrites(write) {
      if (health.takesWrites) return true;
      // Callers that are sent elsewhere write no more, so that nothing else would tell that there is room again.
      trial ??= tryWrite(write).finally(() => {
        trial = undefined;
      });
      return trial;
    },
  };
}
