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
import { isId, makeId } from "../../src/db/core/id.ts";
import { openStore, type Store } from "../../src/db/store.ts";
import { temporaryFolder } from "../support/folder.ts";

async function openNew(path = join(temporaryFolder(), "store.db")): Promise<{ store: Store; path: string }> {
  const store = openStore(`sqlite:${path}`);
  onTestFinished(() => store[Symbol.asyncDispose]());
  await store.migrate();
  return { store, path };
}

const user = {
  user_id: "u",
  org_id: "o",
  state: "active",
  preferred_language: null,
  display_name: null,
  sequence: 0,
  create_time: 1,
  change_time: 1,
} as const;

describe("a SQLite store", () => {
  it("syncs every commit, keeps foreign keys and writes ahead", async () => {
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

  it("is readable by its owner alone", async () => {
    const { store, path } = await openNew();
    await store.write((trx) => trx.insertInto("users").values(user).execute());
    for (const file of [path, `${path}-wal`]) expect(statSync(file).mode & 0o777).toBe(0o600);
  });
});

describe("a damaged SQLite file", () => {
  /** A database of 200 users, checkpointed into one file. */
  async function filled(): Promise<string> {
    const path = join(temporaryFolder(), "store.db");
    const store = openStore(`sqlite:${path}`);
    await store.migrate();
    await store.write((trx) =>
      trx
        .insertInto("users")
        .values(Array.from({ length: 200 }, (_, i) => ({ ...user, user_id: `user-${i}`.padEnd(150, "x") })))
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
    ["was cut off in a page", (path) => truncateSync(path, 4096 * 7 + 100), /is damaged/],
    ["was cut off at a page", (path) => truncateSync(path, 4096 * 7), /is damaged/],
    ["was emptied", (path) => truncateSync(path, 0), /is empty/],
    ["is another program's", replaceByForeign, /is not a database of Countersign/],
  ])("refuses to start and leaves the file as it is: it %s", async (_name, damage, message) => {
    const path = await filled();
    damage(path);
    const before = readFileSync(path);
    expect(() => openStore(`sqlite:${path}`)).toThrow(message);
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  it("refuses a log whose database is gone", async () => {
    const { store, path } = await openNew();
    await store.write((trx) => trx.insertInto("users").values(user).execute());
    copyFileSync(`${path}-wal`, `${path}-copy-wal`);
    expect(() => openStore(`sqlite:${path}-copy`)).toThrow(/-wal is there but/);
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

describe("ids", () => {
  it("are distinct, ordered, and positive 63-bit integers", () => {
    const now = Date.parse("2026-11-23T09:00:00Z");
    const ids = Array.from({ length: 20_000 }, (_, i) => makeId(now + Math.floor(i / 10_000)));
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.map(BigInt)).toEqual(ids.map(BigInt).sort((a, b) => (a < b ? -1 : 1)));
    for (const id of [ids[0]!, ids.at(-1)!]) expect(isId(id)).toBe(true);
  });

  it("stay ordered when the clock is set back", () => {
    const first = makeId(Date.parse("2026-11-23T10:00:00Z"));
    const second = makeId(Date.parse("2026-11-23T09:00:00Z"));
    expect(BigInt(second) > BigInt(first)).toBe(true);
  });

  it.each([
    ["163840776835432705", true],
    ["9223372036854775807", true],
    ["9223372036854775808", false],
    ["0", false],
    ["01", false],
    ["-1", false],
    [" 1", false],
    ["1 ", false],
    ["1e3", false],
    ["1.0", false],
    ["0x10", false],
    ["", false],
    ["１", false],
    ["1".repeat(200), false],
  ])("%j: %s", (text, expected) => {
    expect(isId(text)).toBe(expected);
  });
});
