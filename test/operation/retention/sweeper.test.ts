import { sql } from "kysely";
import { describe, expect, it } from "vitest";
import { expiringRows } from "../../../src/app/retention.ts";
import { firstIdAt } from "../../../src/db/core/id.ts";
import { sweep } from "../../../src/operation/retention/sweeper.ts";
import { startTestApp, wrongCode } from "../../support/app.ts";
import { openTestStore } from "../../support/db/database.ts";
import { planOf } from "../../support/db/plan.ts";
import { outcomeOf } from "../../support/errors.ts";
import { addAuthenticators, insertRows, newRow } from "../../support/mail/rows.ts";
import { addPending, addUser } from "../../support/users.ts";

const tables = ["hits", "idempotency_keys", "removed_otp_emails"] as const;
const never = new AbortController().signal;

async function openFilled(rows: number) {
  const store = await openTestStore();
  await store.write(async (trx) => {
    for (let i = 0; i < rows; i++) {
      const hit = { digest: `d${i % 7}`, time: i, count: 1, expire_time: i };
      await trx.insertInto("hits").values(hit).execute();
      const kept = { digest: `d${i}`, request_digest: "r", reply: "{}", expire_time: i };
      await trx.insertInto("idempotency_keys").values(kept).execute();
    }
  });
  const left = async () => {
    const { db } = store;
    const hits = await db.selectFrom("hits").select("expire_time").orderBy("expire_time").execute();
    const keys = await db
      .selectFrom("idempotency_keys")
      .select("expire_time")
      .orderBy("expire_time")
      .execute();
    return [hits, keys].map((found) => found.map((row) => row.expire_time));
  };
  return { store, left };
}

describe("sweep", () => {
  it("deletes all expired rows in batches, and no others", async () => {
    const { store, left } = await openFilled(1_000);
    await sweep(store, expiringRows, 996, never);
    expect(await left()).toEqual([
      [997, 998, 999],
      [997, 998, 999],
    ]);
  });

  it("stops when the signal aborts", async () => {
    const { store, left } = await openFilled(10);
    await sweep(store, expiringRows, 100, AbortSignal.abort());
    expect((await left())[0]).toHaveLength(10);
  });

  it("covers every table with an expire_time", async () => {
    const { db } = await openTestStore();
    const tables = (await db.introspection.getTables())
      .filter(({ columns }) => columns.some(({ name }) => name === "expire_time"))
      .map(({ name }) => name);
    expect(expiringRows.map(({ table }) => table).sort()).toEqual(tables.sort());
  });

  it("finds expired rows by an index", async () => {
    const { store } = await openFilled(10);
    for (const table of tables) {
      const { sql: query } = store.db
        .selectFrom(table)
        .select("digest")
        .where("expire_time", "<=", sql.lit(5))
        .compile();
      expect(await planOf(store.db, query)).toContain(`${table}_expired`);
    }
  });
});

describe("mails of a week ago", () => {
  const dayMs = 24 * 3_600_000;
  const now = Date.UTC(2026, 5, 30);

  async function openWithMails(count: number) {
    const store = await openTestStore();
    await addAuthenticators(store, now, 1);
    const at = (time: number) => firstIdAt(time);
    await insertRows(store, [
      ...Array.from({ length: count }, (_, i) =>
        newRow(now, { mail_id: `${BigInt(at(now - 8 * dayMs)) + BigInt(i)}`, state: "sent" }),
      ),
      newRow(now, { mail_id: at(now - 9 * dayMs), state: "failed" }),
      newRow(now, { mail_id: at(now - 10 * dayMs), state: "queued" }),
      newRow(now, { mail_id: at(now - 7 * dayMs - 1), state: "dropped" }),
      newRow(now, { mail_id: at(now - 7 * dayMs), state: "sent" }),
    ]);
    return store;
  }

  it("are deleted once settled, and the others stay", async () => {
    const store = await openWithMails(450);
    await sweep(store, expiringRows, now, never);
    const left = await store.db.selectFrom("outbox").select("mail_id").orderBy("mail_id").execute();
    expect(left.map((row) => row.mail_id)).toEqual([firstIdAt(now - 10 * dayMs), firstIdAt(now - 7 * dayMs)]);
  });
});

describe("the service", () => {
  it("sweeps rate limits and idempotency keys while it runs", async () => {
    const test = await startTestApp();
    const client = await test.admin();
    await addUser(client);
    const options = { headers: { "idempotency-key": "k" } };
    await client.addOTPEmail({ userId: "u", email: { address: "mini@mouse.com" } }, options);
    const { otpEmailId, code } = await addPending(client, "u", "minnie@mouse.com");
    await outcomeOf(client.verifyOTPEmail({ userId: "u", otpEmailId, code: wrongCode(code) }));
    await client.removeOTPEmail({ userId: "u", otpEmailId });
    const rows = async () => {
      const { db } = test.app.store;
      const found = await Promise.all(tables.map((table) => db.selectFrom(table).selectAll().execute()));
      return found.map((of) => of.length);
    };
    expect(await rows()).toEqual([4, 1, 1]);
    test.clock.move(24 * 3_600_000 - 60_001);
    await expect.poll(rows).toEqual([1, 1, 1]);
    // A round may have read the time just before.
    const laterRows = () => {
      test.clock.move(60_001);
      return rows();
    };
    await expect.poll(laterRows).toEqual([0, 0, 0]);
  });
});
