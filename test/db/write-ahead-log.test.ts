import { statSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { expect, it, onTestFinished } from "vitest";
import { openStore, type Store } from "../../src/db/open.ts";
import { temporaryFolder } from "../support/folder.ts";

/** 16,000 pages of 4,096 bytes, the header of each, and what the commit that is one too many wrote. */
const logBytesMax = 69_000_000;
const data = JSON.stringify("x".repeat(1_000_000));

async function openNew() {
  const path = join(temporaryFolder(), "store.db");
  const store = openStore(`sqlite:${path}`);
  onTestFinished(() => store[Symbol.asyncDispose]());
  await store.migrate();
  return { store, path, logBytes: () => statSync(`${path}-wal`).size };
}

/** A commit of a megabyte. */
function writeMegabyte({ write }: Store, sequence: number): Promise<unknown> {
  const event = { org_id: "o", user_id: "u", sequence, type: "t", time: 1, actor: "a", reason: null, data };
  return write((trx) => trx.insertInto("events").values(event).execute());
}

it("is written back to the database before it grows beyond its bound, and is gone after the end", async () => {
  const { store, path, logBytes } = await openNew();
  let most = 0;
  for (let i = 1; i <= 90; i++) {
    await writeMegabyte(store, i);
    most = Math.max(most, logBytes());
  }
  expect(most).toBeLessThan(logBytesMax);
  await store[Symbol.asyncDispose]();
  expect(statSync(`${path}-wal`, { throwIfNoEntry: false })).toBeUndefined();
});

it("is cut back to its bound once nobody reads any more what was there before", async () => {
  const { store, path, logBytes } = await openNew();
  const reader = new Database(path, { readonly: true });
  onTestFinished(() => void reader.close());
  reader.exec("begin");
  reader.prepare("select count(*) from events").get();
  for (let i = 1; i <= 80; i++) await writeMegabyte(store, i);
  expect(logBytes()).toBeGreaterThan(logBytesMax);
  reader.exec("commit");
  for (let i = 81; i <= 83; i++) await writeMegabyte(store, i);
  expect(logBytes()).toBeLessThan(logBytesMax);
});
