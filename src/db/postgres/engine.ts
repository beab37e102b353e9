import { Kysely } from "kysely";
import type { Engine, EngineListeners } from "../core/engine.ts";
import { migrate } from "../core/migrate.ts";
import type { DB } from "../core/schema.ts";
import { createDialect, createMigrationDialect } from "./dialect.ts";
import { takesWrites } from "./health.ts";
import { postgresTypes } from "./types.ts";
import { parsePostgresUrl } from "./url.ts";
import { createWriter } from "./writer.ts";

/**
 * Opens a PostgreSQL database, which is connected to on first use.
 *
 * @param url see `parsePostgresUrl`.
 * @throws if the URL is malformed.
 */
export function openPostgres(url: string, { onError }: Pick<EngineListeners, "onError">): Engine {
  const target = parsePostgresUrl(url);
  return {
    name: "postgres",
    dialect: createDialect(target, onError),
    createWriter,
    async migrate() {
      const db = new Kysely<DB>({ dialect: createMigrationDialect(target) });
      try {
        return await migrate(db.withPlugin(postgresTypes));
      } finally {
        await db.destroy();
      }
    },
    takesWrites,
  };
}
