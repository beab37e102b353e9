import { setTimeout as sleep } from "node:timers/promises";
import { sql, type Transaction } from "kysely";
import pg from "pg";
import { describe, expect, it, onTestFinished } from "vitest";
import { lockUser } from "../../../src/db/core/lock.ts";
import type { DB } from "../../../src/db/core/schema.ts";
import { isStorageUnavailable } from "../../../src/db/storage-errors.ts";
import type { Store } from "../../../src/db/store.ts";
import { databaseUrlOf, openTestStore } from "../../support/db/database.ts";
import { memoryFolder } from "../../support/db/memory-folder.ts";
import { openWithTwoUsers, sequencesOf, touch } from "../../support/db/user-rows.ts";

/** Runs two writes at once. Each waits in the middle of its first run until the other has got there, too. */
async function runCrossing(
  store: Store,
  work: (trx: Transaction<DB>, index: number, meet: () => Promise<void>) => Promise<void>,
) {
  let met = 0;
  const runs = [0, 0];
  const codes: unknown[] = [];
  const meet = async () => {
    met++;
    while (met < 2) await sleep(1);
  };
  const caller = { isStopped: false, timeoutMs: () => 5_000 };
  await Promise.all(
    runs.map((_, index) =>
      store.writeFor(caller, async (trx) => {
        runs[index]!++;
        await work(trx, index, meet).catch((error) => {
          codes.push(error.code);
          throw error;
        });
      }),
    ),
  );
  return { runs: runs.toSorted(), codes };
}

/** Opens a store with two users, on a database with this setting. */
async function openWithSetting(name: string, value: string, folder = memoryFolder()): Promise<Store> {
  const store = await openWithTwoUsers(folder);
  const database = new URL(await databaseUrlOf(folder)).pathname.slice(1);
  await sql`alter database ${sql.ref(database)} set ${sql.raw(name)} = ${sql.lit(value)}`.execute(store.db);
  return openTestStore(folder);
}

const crossing = [
  ["u", "v"],
  ["v", "u"],
] as const;

describe("F08 writes that conflict", () => {
  it("by a deadlock (40P01) are both done: one of them runs again", async () => {
    const store = await openWithSetting("deadlock_timeout", "20ms");
    const outcome = await runCrossing(store, async (trx, index, meet) => {
      const [first, second] = crossing[index]!;
      await touch(trx, first);
      await meet();
      await touch(trx, second);
    });
    expect(outcome).toEqual({ runs: [1, 2], codes: ["40P01"] });
    expect(await sequencesOf(store)).toEqual([2, 2]);
  });

  it("by a deadlock (40P01) with another program run again, and are done once", async () => {
    const folder = memoryFolder();
    const store = await openWithSetting("deadlock_timeout", "20ms", folder);
    const url = await databaseUrlOf(folder);
    // The other connection looks for deadlocks later, so the server cancels the write.
    const other = new pg.Client({ connectionString: url });
    await other.connect();
    onTestFinished(() => other.end());
    await other.query("set deadlock_timeout = '10s'");
    await other.query("begin; lock table outbox in exclusive mode");
    const codes: unknown[] = [];
    let others: Promise<unknown> | undefined;
    await store.write(async (trx) => {
      await touch(trx, "u");
      others ??= other.query("lock table users in exclusive mode").then(() => other.query("commit"));
      await sql`lock table outbox in exclusive mode`.execute(trx).catch((error) => {
        codes.push(error.code);
        throw error;
      });
    });
    await others;
    expect(codes).toEqual(["40P01"]);
    expect(await sequencesOf(store)).toEqual([1, 0]);
  });

  it("in a row under serializable isolation (40001) are both done: one of them runs again", async () => {
    const store = await openWithSetting("default_transaction_isolation", "serializable");
    const outcome = await runCrossing(store, async (trx, _, meet) => {
      await trx.selectFrom("users").select("sequence").where("user_id", "=", "u").execute();
      await meet();
      await touch(trx, "u");
    });
    expect(outcome).toEqual({ runs: [1, 2], codes: ["40001"] });
    expect(await sequencesOf(store)).toEqual([2, 0]);
  });

  it("by reading what the other writes (40001) end as if run one after the other", async () => {
    const store = await openWithSetting("default_transaction_isolation", "serializable");
    const { runs } = await runCrossing(store, async (trx, index, meet) => {
      const [own, others] = crossing[index]!;
      const { sequence } = await trx
        .selectFrom("users")
        .select("sequence")
        .where("user_id", "=", others)
        .executeTakeFirstOrThrow();
      await meet();
      await trx
        .updateTable("users")
        .set({ sequence: sequence + 1 })
        .where("user_id", "=", own)
        .execute();
    });
    // The commit fails, and no statement of the work does.
    expect(runs).toEqual([1, 2]);
    expect((await sequencesOf(store)).toSorted()).toEqual([1, 2]);
  });

  it("under serializable isolation lose no update", async () => {
    const store = await openWithSetting("default_transaction_isolation", "serializable");
    const { rows } = await sql<Record<string, string>>`show transaction_isolation`.execute(store.db);
    expect(Object.values(rows[0]!)).toEqual(["serializable"]);
    const count = () =>
      store.write(async (trx) => {
        await lockUser(trx, "u");
        const row = await trx
          .selectFrom("users")
          .select("sequence")
          .where("user_id", "=", "u")
          .executeTakeFirstOrThrow();
        await trx
          .updateTable("users")
          .set({ sequence: row.sequence + 1 })
          .where("user_id", "=", "u")
          .execute();
      });
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, count));
    const done = outcomes.filter((outcome) => outcome.status === "fulfilled").length;
    for (const outcome of outcomes)
      if (outcome.status === "rejected") expect(isStorageUnavailable(outcome.reason)).toBe(true);
    expect(done).toBeGreaterThan(0);
    expect(await sequencesOf(store)).toEqual([done, 0]);
  });
});
