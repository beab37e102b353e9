import type { Engine, EngineListeners } from "../core/engine.ts";
import { migrate } from "../core/migrate.ts";
import { writeTimeoutMs } from "../core/write-timeout.ts";
import { retryWhileBusy } from "./busy.ts";
import { createCheckpointer } from "./checkpoint.ts";
import { createDialect } from "./dialect.ts";
import { openFile } from "./file.ts";
import { SqliteHealth } from "./health.ts";
import { createWriter } from "./writer.ts";

/**
 * Opens or creates a SQLite database.
 *
 * @param path of the file.
 * @throws DatabaseRefused if the file is damaged or not ours; or what SQLite throws if it cannot be opened.
 */
export function openSqlite(path: string, { onError, onFailure }: EngineListeners): Engine {
  const database = openFile(path);
  const health = new SqliteHealth(onFailure);
  const checkpointer = createCheckpointer(database, path, health, onError);
  return {
    name: "sqlite",
    dialect: createDialect({
      database,
      path,
      health,
      onClose: () => checkpointer[Symbol.asyncDispose](),
    }),
    createWriter: (db, onCommit) =>
      createWriter(db, { health, onCommit, afterReplies: checkpointer.afterCommit }),
    async migrate(db) {
      // A migration that recreates a table drops the old one, which would cascade to the rows that refer to it
      // (https://www.sqlite.org/lang_altertable.html, "Making Other Kinds Of Table Schema Changes").
      database.pragma("foreign_keys = OFF");
      try {
        const ran = await retryWhileBusy(() => migrate(db), performance.now() + writeTimeoutMs);
        // Moves the tables out of the log. If the log got lost, the next start would otherwise see an empty database.
        if (ran.length > 0) health.run(() => database.pragma("wal_checkpoint(TRUNCATE)"));
        return ran;
      } finally {
        database.pragma("foreign_keys = ON");
      }
    },
    takesWrites: (_, write) => health.takesWrites(write),
  };
}
