import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { sql } from "kysely";
import { describe, expect, it, onTestFinished } from "vitest";
import { isStorageUnavailable } from "../../../src/db/storage-errors.ts";
import { openStore, type Store } from "../../../src/db/store.ts";
import { databaseUrlOf, openTestStore } from "../../support/db/database.ts";
import { startDatabaseProxy } from "../../support/db/database-proxy.ts";
import { memoryFolder } from "../../support/db/memory-folder.ts";
import { openWithTwoUsers, sequencesOf, touch } from "../../support/db/user-rows.ts";

describe("F08 a store on PostgreSQL", () => {
  it("reports that it is unavailable when its connections are cut, and makes new ones", async () => {
    const folder = memoryFolder();
    const store = await openWithTwoUsers(folder);
    const other = await openTestStore(folder);
    const cut = () =>
      sql`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()`.execute(other.db);
    const write = store.write(async (trx) => {
      await touch(trx, "u");
      await cut();
      await touch(trx, "v");
    });
    expect(isStorageUnavailable(await write.catch((error) => error))).toBe(true);
    expect(await sequencesOf(store)).toEqual([0, 0]);
    await store.write((trx) => touch(trx, "u"));
    expect(await sequencesOf(store)).toEqual([1, 0]);
  });

  it("reports that it is unavailable, and isn't ready, on a read-only server", async () => {
    const folder = memoryFolder();
    await openWithTwoUsers(folder);
    const url = `${await databaseUrlOf(folder)}?options=-c%20default_transaction_read_only%3Don`;
    const standby = openStore(url);
    onTestFinished(() => standby[Symbol.asyncDispose]());
    expect(await standby.isReady()).toBe(false);
    const error = await standby.write((trx) => touch(trx, "u")).catch((error) => error);
    expect(isStorageUnavailable(error)).toBe(true);
  });

  it("reports that it is unavailable, and isn't ready, without a server", async () => {
    const store = openStore("postgres://someone:secret@127.0.0.1:1/none");
    onTestFinished(() => store[Symbol.asyncDispose]());
    expect(await store.isReady()).toBe(false);
    const error = await store.write((trx) => touch(trx, "u")).catch((error) => error);
    expect(isStorageUnavailable(error)).toBe(true);
    expect(String(error)).not.toContain("secret");
  });

  it("finds the one of several hosts that answers, and closes connections to the previous one", async () => {
    const folder = memoryFolder();
    await openWithTwoUsers(folder);
    const silent = createServer().listen(0, "127.0.0.1");
    onTestFinished(() => void silent.close());
    await once(silent, "listening");
    const url = new URL(await databaseUrlOf(folder));
    const proxy = await startDatabaseProxy(url.href);
    const ports = [1, (silent.address() as AddressInfo).port, new URL(proxy.url).port, url.port];
    const hosts = ports.map((port) => `127.0.0.1:${port}`);
    const store = openStore(url.href.replace(url.host, hosts.join()));
    onTestFinished(() => store[Symbol.asyncDispose]());
    await store.write((trx) => touch(trx, "u"));
    const portOfClient = async () =>
      (await sql<{ port: number }>`select inet_client_port() as port`.execute(store.db)).rows[0]?.port;
    const before = await portOfClient();
    expect(await portOfClient()).toBe(before);
    // New connections fail there, but the idle ones stay open.
    proxy.port = 1;
    await Promise.all(Array.from({ length: 4 }, () => store.write((trx) => touch(trx, "u"))));
    proxy.port = Number(url.port);
    expect(await sequencesOf(store)).toEqual([5, 0]);
    expect(await Promise.all(Array.from({ length: 4 }, portOfClient))).not.toContain(before);
  });
});

describe("statements on PostgreSQL", () => {
  it("are prepared by name, unless the URL has prepare=off", async () => {
    const folder = memoryFolder();
    const prepared = async (store: Store) => {
      await store.db.selectFrom("users").select("user_id").execute();
      const { rows } = await sql<{ name: string }>`select name from pg_prepared_statements`.execute(store.db);
      return rows.map(({ name }) => name);
    };
    expect(await prepared(await openWithTwoUsers(folder))).toContainEqual(
      expect.stringMatching(/^countersign_/),
    );
    const plain = openStore(`${await databaseUrlOf(folder)}?prepare=off`);
    onTestFinished(() => plain[Symbol.asyncDispose]());
    expect(await prepared(plain)).toEqual([]);
  });
});
