import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Database from "better-sqlite3";
import { sql, type Transaction } from "kysely";
import { describe, expect, it, onTestFinished } from "vitest";
import type { DB } from "../../../src/db/core/schema.ts";
import { CallerGone, WriteQueueFull } from "../../../src/db/core/write.ts";
import { isStorageUnavailable } from "../../../src/db/storage-errors.ts";
import { openStore, type Store } from "../../../src/db/store.ts";
import { findUser } from "../../../src/users/user.ts";
import { memoryFolder } from "../../support/db/memory-folder.ts";

async function openNew(path = join(memoryFolder(), "store.db")) {
  const store = openStore(`sqlite:${path}`);
  onTestFinished(() => store[Symbol.asyncDispose]());
  await store.migrate();
  let commits = 0;
  store.onCommit(() => commits++);
  return { store, path, commits: () => commits };
}

const insert = (userId: string) => async (trx: Transaction<DB>) => {
  await trx
    .insertInto("users")
    .values({
      user_id: userId,
      org_id: "o",
      state: "active",
      preferred_language: null,
      display_name: null,
      sequence: 0,
      create_time: 1,
      change_time: 1,
    })
    .execute();
  return userId;
};

async function userIds(store: Store): Promise<string[]> {
  const rows = await store.db.selectFrom("users").select("user_id").orderBy("user_id").execute();
  return rows.map((row) => row.user_id);
}

const names = (count: number) => Array.from({ length: count }, (_, i) => `u${i}`.padStart(6, "0"));

it("a query of a transaction that has ended is refused", async () => {
  const { store } = await openNew();
  let kept: Transaction<DB> | undefined;
  await store.write(async (trx) => {
    kept = trx;
  });
  await expect(findUser(kept!, "u")).rejects.toThrow("after its end");
});

describe("concurrent writes", () => {
  it("share a commit, and each resolves to its own result", async () => {
    const { store, commits } = await openNew();
    expect(await Promise.all(names(50).map((name) => store.write(insert(name))))).toEqual(names(50));
    expect(commits()).toBe(1);
    expect(await userIds(store)).toEqual(names(50));
  });

  it("are committed when they resolve", async () => {
    const { store, path } = await openNew();
    const other = new Database(path, { readonly: true });
    onTestFinished(() => void other.close());
    const count = other.prepare("select count(*) from users").pluck();
    const counts = await Promise.all(
      names(20).map((name) => store.write(insert(name)).then(() => count.get())),
    );
    expect(counts).toEqual(Array(20).fill(20));
  });

  it("run in the order in which they came, across commits", async () => {
    const { store, commits } = await openNew();
    const order: number[] = [];
    await Promise.all(names(200).map((_, i) => store.write(async () => void order.push(i))));
    expect(order).toEqual(names(200).map((_, i) => i));
    expect(commits()).toBe(4);
  });

  it("are kept if one of them fails after it has written, which alone rejects", async () => {
    const { store, commits } = await openNew();
    const failing = async (trx: Transaction<DB>) => {
      await insert("half")(trx);
      throw new Error("no");
    };
    const results = await Promise.allSettled([
      store.write(insert("a")),
      store.write(failing),
      store.write(insert("a")),
      store.write(insert("b")),
    ]);
    expect(results.map((r) => (r.status === "fulfilled" ? r.value : r.reason.message))).toEqual([
      "a",
      "no",
      expect.stringContaining("UNIQUE"),
      "b",
    ]);
    expect(await userIds(store)).toEqual(["a", "b"]);
    expect(commits()).toBe(1);
  });

  it("run twice if one fails, and then only once for a second, with savepoints", async () => {
    const { store, commits } = await openNew();
    const runs = { right: 0, wrong: 0 };
    const right = async () => void runs.right++;
    const wrong = async () => {
      runs.wrong++;
      throw new Error("no");
    };
    const writeAll = () => Promise.allSettled([right, right, wrong, right].map((work) => store.write(work)));
    const outcomes = ["fulfilled", "fulfilled", "rejected", "fulfilled"];
    expect((await writeAll()).map(({ status }) => status)).toEqual(outcomes);
    // The two before the wrong one run, and then all three with savepoints.
    expect(runs).toEqual({ right: 5, wrong: 2 });
    expect((await writeAll()).map(({ status }) => status)).toEqual(outcomes);
    expect(runs).toEqual({ right: 8, wrong: 3 });
    expect(commits()).toBe(2);
  });

  it("run again one by one if SQLite rolls back the whole transaction", async () => {
    const { store } = await openNew();
    const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(store.db);
    await sql`pragma max_page_count = ${sql.lit(rows[0]!.page_count + 4)}`.execute(store.db);
    const tooMuch = (trx: Transaction<DB>) => insert("x".repeat(100_000))(trx);
    const results = await Promise.allSettled([
      store.write(insert("a")),
      store.write(tooMuch),
      store.write(insert("b")),
    ]);
    expect(results.map((r) => r.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(isStorageUnavailable((results[1] as PromiseRejectedResult).reason)).toBe(true);
    expect(await userIds(store)).toEqual(["a", "b"]);
  });
});

describe("a write", () => {
  it("is not started once its caller has gone", async () => {
    const { store } = await openNew();
    let isGone = false;
    const staying = store.writeFor({ isStopped: false }, insert("stays"));
    const going = store.writeFor(
      {
        get isStopped() {
          return isGone;
        },
      },
      insert("goes"),
    );
    isGone = true;
    await expect(going).rejects.toBeInstanceOf(CallerGone);
    await staying;
    expect(await userIds(store)).toEqual(["stays"]);
  });

  it("is refused while too many are waiting, and accepted afterwards", async () => {
    const { store } = await openNew();
    const results = await Promise.allSettled(names(2_100).map((name) => store.write(insert(name))));
    const refused = results.flatMap((r) => (r.status === "rejected" ? [r.reason] : []));
    expect(refused).toHaveLength(100);
    for (const error of refused) expect(error).toBeInstanceOf(WriteQueueFull);
    expect(isStorageUnavailable(refused[0])).toBe(true);
    expect(await store.write(insert("later"))).toBe("later");
    expect(await userIds(store)).toHaveLength(2_001);
  });

  it("that is waiting is done before the store closes", async () => {
    const path = join(memoryFolder(), "store.db");
    const { store } = await openNew(path);
    const done = Promise.all(names(100).map((name) => store.write(insert(name))));
    await store[Symbol.asyncDispose]();
    await done;
    const again = await openNew(path);
    expect(await userIds(again.store)).toHaveLength(100);
  });
});

describe("F05 while another process holds the database", () => {
  async function held() {
    const { store, path } = await openNew();
    const other = new Database(path);
    onTestFinished(() => void other.close());
    other.exec("begin immediate");
    return { store, other };
  }

  it("reads go on, and writes are done when it releases the database", async () => {
    const { store, other } = await held();
    let done = 0;
    const writes = names(10).map((name) => store.write(insert(name)).then(() => done++));
    for (let i = 0; i < 5; i++) {
      await sleep(20);
      expect(await userIds(store)).toEqual([]);
    }
    expect(done).toBe(0);
    other.exec("rollback");
    await Promise.all(writes);
    expect(await userIds(store)).toEqual(names(10));
  });

  it("all waiting writes are refused at their deadline, and later ones are done", async () => {
    const { store, other } = await held();
    const caller = { isStopped: false, timeoutMs: () => 1_000 };
    const results = await Promise.allSettled(names(100).map((name) => store.writeFor(caller, insert(name))));
    const reasons = results.map((r) => r.status === "rejected" && isStorageUnavailable(r.reason));
    expect(reasons).toEqual(Array(100).fill(true));
    other.exec("rollback");
    expect(await store.write(insert("later"))).toBe("later");
  });

  it("two stores of one process on one file wait for each other and lose nothing", async () => {
    const { store, path } = await openNew();
    const { store: other } = await openNew(path);
    const writes = names(200).map((name, i) => (i % 2 ? store : other).write(insert(name)));
    await Promise.all(writes);
    expect(await userIds(store)).toEqual(names(200));
  });
});
