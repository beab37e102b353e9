import { Kysely, sql } from "kysely";
import type { Engine, EngineListeners, EngineName } from "./core/engine.ts";
import { isMigrated } from "./core/migrate.ts";
import type { DB } from "./core/schema.ts";
import type { Write, WriteFor } from "./core/write.ts";
import { openPostgres } from "./postgres/engine.ts";
import { openSqlite } from "./sqlite/engine.ts";

/** The storage. Reads go through `db`; all writes go through `write` or `writeFor`. */
export interface Store extends AsyncDisposable {
  readonly engine: EngineName;
  readonly db: Kysely<DB>;
  readonly write: Write;
  readonly writeFor: WriteFor;
  /**
   * Calls the listener after each commit of this process, which may be of several writes. It must not throw.
   *
   * @returns a function that removes the listener.
   */
  onCommit(listener: () => void): () => void;
  /** Runs the missing migrations and returns their names. */
  migrate(): Promise<string[]>;
  /** Whether the database answers, takes writes and has all migrations. Never rejects. */
  isReady(): Promise<boolean>;
}

export type StoreOptions = Partial<EngineListeners>;

/**
 * Opens the database at a URL.
 *
 * @param url `sqlite:PATH`, or `postgres://user:password@host:port/database`, which is connected to on first use.
 * @throws if the file is damaged or cannot be opened, or the URL is neither.
 */
export function openStore(
  url: string,
  { onError = () => {}, onFailure = () => {} }: StoreOptions = {},
): Store {
  const engine = openEngine(url, { onError, onFailure });
  const db = new Kysely<DB>({ dialect: engine.dialect });
  const listeners = new Set<() => void>();
  const writer = engine.createWriter(db, () => {
    for (const listener of listeners) listener();
  });
  const write: Write = (work) => writer.writeFor(undefined, work);
  return {
    engine: engine.name,
    db,
    write,
    writeFor: writer.writeFor,
    onCommit(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    migrate: () => engine.migrate(db),
    async isReady() {
      try {
        await sql`select 1`.execute(db);
        return (await isMigrated(db)) && (await engine.takesWrites(db, write));
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

function openEngine(url: string, listeners: EngineListeners): Engine {
  if (url.startsWith("sqlite:")) return openSqlite(url.slice("sqlite:".length), listeners);
  if (/^postgres(ql)?:\/\//.test(url)) return openPostgres(url, listeners);
  throw new Error("the database URL must be sqlite:PATH or postgres://user:password@host:port/database");
}
