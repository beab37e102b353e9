import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { Kysely, Migrator, sql } from "kysely";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { migrations } from "../../../src/db/migrations/index.ts";
import { openSqlite } from "../../../src/db/sqlite/engine.ts";
import { openStore } from "../../../src/db/store.ts";
import { memoryFolder, memoryRoot } from "../../support/db/memory-folder.ts";
import { databaseOf, loadSettings } from "../../support/db/storage-load.ts";
import { migrateAndDie } from "../../support/process/dying-process.ts";
import { runCommand } from "../../support/process/process.ts";
import { rounds } from "../../support/soak.ts";

const names = Object.keys(migrations);

const folder = mkdtempSync(join(memoryRoot, "countersign-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A database after the first `count` migrations, with a user in it. */
async function databaseOfVersion(count: number): Promise<string> {
  const path = join(mkdtempSync(join(folder, "version-")), "store.db");
  const { dialect } = openSqlite(path, { onError() {}, onFailure() {} });
  const db = new Kysely<unknown>({ dialect });
  const known = Object.fromEntries(Object.entries(migrations).slice(0, count));
  const migrator = new Migrator({ db, provider: { getMigrations: async () => known } });
  await sql`pragma foreign_keys = off`.execute(db);
  const { error } = await migrator.migrateToLatest();
  if (error) throw error;
  if (count > 0)
    await sql`insert into users (user_id, org_id, state, sequence, create_time, change_time)
      values ('u', 'o', 'active', 0, 1, 1)`.execute(db);
  await db.destroy();
  return path;
}

/** The schema, without the tables of the migrator. */
function schemaOf(path: string): unknown[] {
  const database = new Database(path);
  try {
    return database
      .prepare(
        "select type, name, sql from sqlite_schema where tbl_name not like 'kysely%' order by type, name",
      )
      .all();
  } finally {
    database.close();
  }
}

const newest = schemaOf(await databaseOfVersion(names.length));

describe("F09 F34 migrations", () => {
  it.each(names.map((name, version) => [name, version] as const))(
    "killed within %s leave the version before, and run at the next start",
    { timeout: 300_000 },
    async (_, version) => {
      const before = schemaOf(await databaseOfVersion(version));
      for (let statements = 0; statements < 200; statements += rounds(7, 1)) {
        const path = await databaseOfVersion(version);
        const signal = await migrateAndDie(path, statements);
        expect(schemaOf(path)).toEqual(signal ? before : newest);
        const store = openStore(`sqlite:${path}`);
        await store.migrate();
        expect(await store.isReady()).toBe(true);
        const users = await store.db.selectFrom("users").select("user_id").execute();
        expect(users).toHaveLength(version === 0 ? 0 : 1);
        await store[Symbol.asyncDispose]();
        expect(schemaOf(path)).toEqual(newest);
        if (!signal || (statements > 0 && !process.env.COUNTERSIGN_SOAK)) return;
      }
    },
  );

  it("run once when four processes start at once, on a new and an old database", {
    timeout: 120_000,
  }, async () => {
    for (let round = 0; round < rounds(1, 20); round++) {
      for (const version of [undefined, 1]) {
        const dataDir = join(memoryFolder(), "data");
        const settings = loadSettings(dataDir);
        if (version !== undefined) {
          mkdirSync(dataDir, { mode: 0o700 });
          copyFileSync(await databaseOfVersion(version), databaseOf(dataDir));
        }
        const runs = await Promise.all(Array.from({ length: 4 }, () => runCommand(["migrate"], settings)));
        expect(runs.map(({ code, stderr }) => ({ code, stderr }))).toEqual(
          Array(4).fill({ code: 0, stderr: "" }),
        );
        const outputs = runs.map(({ stdout }) => stdout).sort();
        expect(outputs).toEqual(
          [
            `ran ${names.slice(version ?? 0).join(", ")}\n`,
            ...Array(3).fill("the database is up to date\n"),
          ].sort(),
        );
        expect(schemaOf(databaseOf(dataDir))).toEqual(newest);
        expect(readdirSync(dataDir)).toEqual(["countersign.db"]);
      }
    }
  });

  it("of a newer version are refused, and the database is left as it is", async () => {
    const dataDir = join(memoryFolder(), "data");
    const settings = loadSettings(dataDir);
    await runCommand(["migrate"], settings);
    const database = new Database(databaseOf(dataDir));
    database.exec("insert into kysely_migration (name, timestamp) values ('9999-from-the-future', '')");
    database.close();
    const before = readFileSync(databaseOf(dataDir));
    const { code, stderr } = await runCommand(["dev"], settings);
    expect(code).toBe(65);
    expect(stderr).toMatch(/migrated by a newer version of Countersign \(9999-from-the-future\)/);
    expect(readFileSync(databaseOf(dataDir)).equals(before)).toBe(true);
  });

  it("killed while the file is created leave nothing that a start refuses", async () => {
    const path = join(memoryFolder(), "store.db");
    // Leftovers of processes that died before they renamed the file.
    writeFileSync(`${path}.${process.pid}.new`, "half");
    writeFileSync(`${path}.1.new`, "half");
    expect(await migrateAndDie(path, 0)).toBe("SIGKILL");
    expect(statSync(path).size).toBeGreaterThan(0);
    const store = openStore(`sqlite:${path}`);
    onTestFinished(() => store[Symbol.asyncDispose]());
    expect(await store.migrate()).toEqual(names);
  });
});
