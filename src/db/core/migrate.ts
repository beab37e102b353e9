import { type Kysely, Migrator } from "kysely";
import { migrations } from "../migrations/index.ts";
import type { DB } from "./schema.ts";
import { DatabaseRefused } from "./storage-failure.ts";

/**
 * Brings the tables up to date, under a lock and in one transaction. When several processes start at once, each migration runs
 * once; when one is killed halfway, nothing of it remains.
 *
 * @returns the names of the migrations that ran.
 * @throws DatabaseRefused if a newer version has migrated the database, or its list of migrations is damaged; or what a failed
 *   migration throws.
 */
export async function migrate(db: Kysely<DB>): Promise<string[]> {
  const unknown = await unknownMigrations(db);
  if (unknown.length > 0) {
    throw new DatabaseRefused(
      `the database was migrated by a newer version of Countersign (${unknown.join(", ")}); start that version, ` +
        "or restore a backup made before the upgrade",
    );
  }
  const { error, results = [] } = await createMigrator(db).migrateToLatest();
  if (error instanceof Error && error.message.startsWith("corrupted migrations")) {
    throw new DatabaseRefused(
      `the list of migrations in the database is damaged (${error.message}): restore a backup`,
    );
  }
  if (error) throw error;
  return results.filter((r) => r.status === "Success").map((r) => r.migrationName);
}

/** Whether every migration of this version has run. */
export async function isMigrated(db: Kysely<DB>): Promise<boolean> {
  const all = await createMigrator(db).getMigrations();
  return all.every((m) => m.executedAt !== undefined);
}

function createMigrator(db: Kysely<DB>): Migrator {
  return new Migrator({ db, provider: { getMigrations: async () => migrations } });
}

async function unknownMigrations(db: Kysely<DB>): Promise<string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  if (!tables.some((t) => t.name === "kysely_migration")) return [];
  const ran = await (db as unknown as Kysely<{ kysely_migration: { name: string } }>)
    .selectFrom("kysely_migration")
    .select("name")
    .execute();
  return ran.map((r) => r.name).filter((name) => !Object.hasOwn(migrations, name));
}
