import { type Kysely, type MigrationResult, Migrator } from "kysely";
import { patienceMs, patiently } from "./core/patience.ts";
import type { DB } from "./core/schema.ts";
import { DatabaseRefused } from "./core/storage-failure.ts";
import { migrations } from "./migrations/index.ts";

/**
 * Brings the tables up to date, under a lock and in a transaction, so that two processes that start at once
 * run each migration once, and one that is killed half way leaves nothing behind.
 *
 * @returns the names of the migrations that ran.
 * @throws DatabaseRefused if the database was migrated by a newer program, or its list of migrations is damaged; or what a
 *   migration that fails throws.
 */
export async function migrate(db: Kysely<DB>): Promise<string[]> {
  const migrator = createMigrator(db);
  const unknown = await unknownMigrations(db);
  if (unknown.length > 0) {
    throw new DatabaseRefused(
      `the database was migrated by a newer version of Countersign (${unknown.join(", ")}); start that version, ` +
        "or restore a backup made before the upgrade",
    );
  }
  const results = await patiently(() => toLatest(migrator), performance.now() + patienceMs);
  return results.filter((r) => r.status === "Success").map((r) => r.migrationName);
}

async function toLatest(migrator: Migrator): Promise<MigrationResult[]> {
  const { error, results = [] } = await migrator.migrateToLatest();
  if (error instanceof Error && error.message.startsWith("corrupted migrations")) {
    throw new DatabaseRefused(
      `the list of migrations in the database is damaged (${error.message}): restore a backup`,
    );
  }
  if (error) throw error;
  return results;
}

/** Whether every migration of this program has run. */
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
