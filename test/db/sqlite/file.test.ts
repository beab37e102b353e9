import {
  copyFileSync,
  existsSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { sql } from "kysely";
import { describe, expect, it, onTestFinished } from "vitest";
import { requireSafeVersion } from "../../../src/db/sqlite/file.ts";
import { openStore, type Store } from "../../../src/db/store.ts";
import { memoryFolder } from "../../support/db/memory-folder.ts";
import { userRow } from "../../support/db/user-rows.ts";

async function openNew(): Promise<{ store: Store; path: string }> {
  const path = join(memoryFolder(), "store.db");
  const store = openStore(`sqlite:${path}`);
  onTestFinished(() => store[Symbol.asyncDispose]());
  await store.migrate();
  return { store, path };
}

describe("a SQLite file", () => {
  it("is opened with WAL, synced commits, foreign keys and a short busy timeout", async () => {
    const { store } = await openNew();
    const pragma = async (name: string) => {
      const { rows } = await sql<Record<string, unknown>>`pragma ${sql.raw(name)}`.execute(store.db);
      return Object.values(rows[0]!)[0];
    };
    expect(await pragma("journal_mode")).toBe("wal");
    expect(await pragma("synchronous")).toBe(2);
    expect(await pragma("foreign_keys")).toBe(1);
    expect(await pragma("busy_timeout")).toBe(10);
  });

  it("is readable by its owner only, and so is its log", async () => {
    const { store, path } = await openNew();
    await store.write((trx) => trx.insertInto("users").values(userRow).execute());
    for (const file of [path, `${path}-wal`]) expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it.each([
    ["3.7.0", false],
    ["3.51.2", false],
    ["3.51.3", true],
    ["3.51.10", true],
    ["3.53.2", true],
    ["4.0.0", true],
  ])("F05 needs a version without the WAL-reset bug: SQLite %s", (version, isSafe) => {
    if (isSafe) expect(() => requireSafeVersion(version)).not.toThrow();
    else expect(() => requireSafeVersion(version)).toThrow(/3\.51\.3 or later is needed/);
  });
});

describe("a damaged SQLite file", () => {
  /** A database of 200 users, whose log has been moved into the file. */
  async function filled(): Promise<string> {
    const path = join(memoryFolder(), "store.db");
    const store = openStore(`sqlite:${path}`);
    await store.migrate();
    await store.write((trx) =>
      trx
        .insertInto("users")
        .values(
          Array.from({ length: 200 }, (_, i) => ({ ...userRow, user_id: `user-${i}`.padEnd(150, "x") })),
        )
        .execute(),
    );
    await store[Symbol.asyncDispose]();
    expect(existsSync(`${path}-wal`)).toBe(false);
    return path;
  }

  it.each<[string, (path: string) => void, RegExp]>([
    ["is no database at all", (path) => writeFileSync(path, "x".repeat(8192)), /is damaged/],
    ["has a broken header", (path) => overwrite(path, 0, 16), /is damaged/],
    ["has a broken page in the middle", (path) => overwrite(path, 4096 * 8, 4096), /is damaged/],
    ["was cut off within a page", (path) => truncateSync(path, 4096 * 7 + 100), /is damaged/],
    ["was cut off between two pages", (path) => truncateSync(path, 4096 * 7), /is damaged/],
    ["was emptied", (path) => truncateSync(path, 0), /is empty/],
    ["belongs to another program", replaceByForeign, /is not a database of Countersign/],
  ])("is refused and left as it is: it %s", async (_name, damage, message) => {
    const path = await filled();
    damage(path);
    const before = readFileSync(path);
    expect(() => openStore(`sqlite:${path}`)).toThrow(message);
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  it("is refused if only its log is left", async () => {
    const { store, path } = await openNew();
    await store.write((trx) => trx.insertInto("users").values(userRow).execute());
    copyFileSync(`${path}-wal`, `${path}-copy-wal`);
    expect(() => openStore(`sqlite:${path}-copy`)).toThrow(/-wal exists but/);
    expect(existsSync(`${path}-copy`)).toBe(false);
  });

  function overwrite(path: string, from: number, length: number): void {
    const bytes = readFileSync(path);
    bytes.fill(0xa5, from, from + length);
    writeFileSync(path, bytes);
  }

  function replaceByForeign(path: string): void {
    rmSync(path);
    const foreign = new Database(path);
    foreign.exec("create table t (x)");
    foreign.close();
  }
});
