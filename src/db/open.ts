import { type Dialect, Kysely, sql } from "kysely";
import { isMigrated, migrate } from "./migrate.ts";
import type { DB } from "./schema.ts";
import { openSqlite } from "./sqlite.ts";
import { createGroupWriter, type Write, type WriteFor } from "./write.ts";

/** The storage. Reads go through `db`, writes through `write` and nothing else. */
export interface Store extends AsyncDisposable {
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

/**
 * Opens the database that a URL names.
 *
 * @param url `sqlite:PATH`
 * @throws if the database is damaged or cannot be opened.
 */
export function openStore(url: string): Store {
  const db = new Kysely<DB>({ dialect: dialectOf(url) });
  const listeners = new Set<() => void>();
  const writer = createGroupWriter(db, () => {
    for (const listener of listeners) listener();
  });
  return {
    db,
    write: (work) => writer.writeFor(undefined, work),
    writeFor: writer.writeFor,
    onCommit(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    migrate: () => migrate(db),
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

function dialectOf(url: string): Dialect {
  if (url.startsWith("sqlite:")) return openSqlite(url.slice("sqlite:".length));
  throw new Error("the database URL must be sqlite:PATH");
}
