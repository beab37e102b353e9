import { sql, type Transaction } from "kysely";
import { describe, expect, it, onTestFinished } from "vitest";
import { lockNames, lockUser } from "../../src/db/core/lock.ts";
import type { DB } from "../../src/db/core/schema.ts";
import { openStore, type Store } from "../../src/db/store.ts";
import { databaseUrlOf, engine, openTestStore } from "../support/db/database.ts";
import { memoryFolder } from "../support/db/memory-folder.ts";
import { userRow } from "../support/db/user-rows.ts";

async function insertOTPEmail(trx: Transaction<DB>, otpEmailId: string): Promise<void> {
  await trx.insertInto("users").values(userRow).execute();
  await trx
    .insertInto("otp_emails")
    .values({
      otp_email_id: otpEmailId,
      user_id: "u",
      address: "a@x.io",
      address_canonical: "a@x.io",
      attempts: 0,
      lock_count: 0,
      create_time: 1_795_000_000_000,
      change_time: 1,
    })
    .execute();
}

describe(`a store on ${engine}`, () => {
  it("returns ids beyond 2^53 exactly, and times as numbers", async () => {
    const store = await openTestStore();
    const id = "9223372036854775807";
    await store.write((trx) => insertOTPEmail(trx, id));
    const row = await store.db
      .selectFrom("otp_emails")
      .selectAll()
      .where("otp_email_id", "=", id)
      .executeTakeFirstOrThrow();
    expect(row.otp_email_id).toBe(id);
    expect(row.create_time).toBe(1_795_000_000_000);
  });

  it("runs each migration once", async () => {
    const folder = memoryFolder();
    const store = await openTestStore(folder);
    const again = openStore(await databaseUrlOf(folder));
    onTestFinished(() => again[Symbol.asyncDispose]());
    expect(await again.migrate()).toEqual([]);
    expect(await again.isReady()).toBe(true);
    expect(await store.isReady()).toBe(true);
  });

  it("F09 refuses a database of a newer version", async () => {
    const folder = memoryFolder();
    const store = await openTestStore(folder);
    await sql`insert into kysely_migration (name, timestamp) values ('9999-from-the-future', '')`.execute(
      store.db,
    );
    const again = openStore(await databaseUrlOf(folder));
    onTestFinished(() => again[Symbol.asyncDispose]());
    await expect(again.migrate()).rejects.toThrow(/newer version of Countersign \(9999-from-the-future\)/);
  });

  it("rolls back a failed write, and keeps the concurrent ones", async () => {
    const store = await openTestStore();
    const results = await Promise.allSettled([
      store.write((trx) => trx.insertInto("users").values(userRow).execute()),
      store.write(async (trx) => {
        await trx
          .insertInto("users")
          .values({ ...userRow, user_id: "v" })
          .execute();
        throw new Error("no");
      }),
      store.write((trx) =>
        trx
          .insertInto("users")
          .values({ ...userRow, user_id: "w" })
          .execute(),
      ),
    ]);
    expect(results.map((r) => r.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    const rows = await store.db.selectFrom("users").select("user_id").orderBy("user_id").execute();
    expect(rows.map((r) => r.user_id)).toEqual(["u", "w"]);
  });

  it("runs a write again if another process made the same id", async () => {
    const store = await openTestStore();
    await store.write((trx) => insertOTPEmail(trx, "1"));
    const ids = ["7", "7", "8"];
    const insert = () =>
      store.write((trx) =>
        trx
          .insertInto("outbox")
          .values({
            mail_id: ids.shift()!,
            purpose: "enrolment",
            user_id: "u",
            otp_email_id: "1",
            code_salt: new Uint8Array(16),
            url_template: null,
            message_id: "<1@x>",
            state: "queued",
            attempts: 0,
            next_attempt_time: 0,
            expire_time: 1,
            create_time: 0,
          })
          .returning("mail_id")
          .executeTakeFirstOrThrow(),
      );
    expect([await insert(), await insert()]).toEqual([{ mail_id: 7 }, { mail_id: 8 }]);
  });

  it("keeps bytes unchanged, and orders text by its bytes", async () => {
    const store = await openTestStore();
    const names = ["a", "B", "é", "z", "Z", "_", "1", "ä"];
    await store.write((trx) =>
      trx
        .insertInto("users")
        .values(names.map((user_id) => ({ ...userRow, user_id })))
        .execute(),
    );
    const rows = await store.db.selectFrom("users").select("user_id").orderBy("user_id").execute();
    expect(rows.map((row) => row.user_id)).toEqual(
      names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
    );
    await store.write((trx) => insertOTPEmail(trx, "5"));
    const salt = Uint8Array.from({ length: 256 }, (_, i) => i);
    await store.write((trx) => trx.updateTable("otp_emails").set({ code_salt: salt }).execute());
    const row = await store.db.selectFrom("otp_emails").select("code_salt").executeTakeFirstOrThrow();
    expect(Buffer.from(row.code_salt ?? []).equals(salt)).toBe(true);
    const found = store.db.selectFrom("otp_emails").select("otp_email_id").where("code_salt", "=", salt);
    expect(await found.execute()).toEqual([{ otp_email_id: 5 }]);
  });

  it.each<[string, (trx: Transaction<DB>) => Promise<void>]>([
    ["the user", (trx) => lockUser(trx, "u")],
    ["a name", (trx) => lockNames(trx, ["other", "name"])],
  ])("loses none of 50 increments under the lock of %s, in two stores", async (_, lock) => {
    const folder = memoryFolder();
    const stores = [await openTestStore(folder), await openTestStore(folder)];
    await stores[0]!.write((trx) => trx.insertInto("users").values(userRow).execute());
    const count = (store: Store) =>
      store.write(async (trx) => {
        await lock(trx);
        const { sequence } = await trx.selectFrom("users").select("sequence").executeTakeFirstOrThrow();
        await trx
          .updateTable("users")
          .set({ sequence: sequence + 1 })
          .execute();
      });
    await Promise.all(Array.from({ length: 50 }, (_, i) => count(stores[i % 2]!)));
    const row = await stores[0]!.db.selectFrom("users").select("sequence").executeTakeFirstOrThrow();
    expect(row.sequence).toBe(50);
  });
});
