import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "kysely";
import { describe, expect, it } from "vitest";
import { lockUser } from "../../../src/db/core/lock.ts";
import type { NewOutboxRow, OutboxRow } from "../../../src/db/core/schema.ts";
import type { Store } from "../../../src/db/store.ts";
import { claim, nextDueTime } from "../../../src/mail/outbox/claim.ts";
import { enqueue, makeMessageId, type NewMail } from "../../../src/mail/outbox/enqueue.ts";
import { type Outcome, release, settle } from "../../../src/mail/outbox/settle.ts";
import { engine } from "../../support/db/database.ts";
import { allRows, insertRows, newRow, onlyRow, openMailStore, userOf } from "../../support/mail/rows.ts";

const now = Date.parse("2026-11-23T09:00:00Z");
const salt = (byte: number) => new Uint8Array(16).fill(byte);

async function open(rows: NewOutboxRow[] = [], authenticators = 1): Promise<Store> {
  const { store } = await openMailStore(now, authenticators);
  await insertRows(store, rows);
  return store;
}

describe("a Message-ID", () => {
  it("has 128 random bits, and sorts after earlier ones", () => {
    const made = Array.from({ length: 1_000 }, () => makeMessageId(now, "id.example"));
    expect(new Set(made).size).toBe(1_000);
    for (const id of made) {
      expect(id).toMatch(/^<[0-9a-z]+\.[\w-]{22}@id\.example>$/);
      expect(id < makeMessageId(now + 1, "id.example")).toBe(true);
      expect(id < makeMessageId(Date.parse("2059-01-01T00:00:00Z"), "id.example")).toBe(true);
    }
  });
});

describe("enqueue", () => {
  const mail: NewMail = {
    purpose: "enrolment",
    userId: userOf("1"),
    otpEmailId: "1",
    codeSalt: salt(1),
    urlTemplate: null,
    expireTime: now + 600_000,
    messageIdDomain: "id.example",
  };
  const put = (store: Store, changes: Partial<NewMail> = {}, at = now) =>
    store.write((trx) => enqueue(trx, at, { ...mail, ...changes }));

  it("queues a mail that is due at once", async () => {
    const store = await open();
    await put(store);
    const row = await onlyRow(store);
    expect(row).toMatchObject({
      purpose: "enrolment",
      user_id: userOf("1"),
      otp_email_id: 1,
      url_template: null,
      state: "queued",
      attempts: 0,
      next_attempt_time: now,
      lease_id: null,
      expire_time: now + 600_000,
      create_time: now,
      settle_time: null,
      reason: null,
    });
    expect(Buffer.from(row.code_salt).equals(salt(1))).toBe(true);
    expect(row.message_id).toMatch(/^<[0-9a-z]{8}\.[\w-]{22}@id\.example>$/);
  });

  it("leaves an identical waiting mail unchanged", async () => {
    const store = await open();
    await put(store, { urlTemplate: "https://a.example/" });
    const before = await onlyRow(store);
    await put(store, { urlTemplate: "https://a.example/" }, now + 1000);
    expect(await onlyRow(store)).toEqual(before);
  });

  it("replaces a waiting mail if the link differs, with another Message-ID", async () => {
    const store = await open();
    await put(store);
    const before = await onlyRow(store);
    await put(store, { urlTemplate: "https://a.example/" }, now + 1000);
    const after = await onlyRow(store);
    expect(after).toMatchObject({ url_template: "https://a.example/", next_attempt_time: now + 1000 });
    expect(after.message_id).not.toBe(before.message_id);
  });

  it("queues a second mail with the same code while the first is under way", async () => {
    const store = await open();
    await put(store);
    const [leased] = await claim(store, now, { leaseMs: 1000, limit: 1, leaseId: "l" });
    await put(store, { urlTemplate: "https://a.example/" });
    const rows = await allRows(store);
    expect(rows.map((row) => row.lease_id).sort()).toEqual(["l", null]);
    expect(rows).toContainEqual(leased);
  });

  it("queues a second mail with the same code after the first was sent", async () => {
    const store = await open([newRow(now, { state: "sent", settle_time: now })]);
    await put(store);
    expect((await allRows(store)).map((row) => row.state).sort()).toEqual(["queued", "sent"]);
  });

  it("drops mails with an older code, also one that is under way", async () => {
    const store = await open([
      newRow(now, { code_salt: salt(7), message_id: "<waiting>" }),
      newRow(now, {
        code_salt: salt(8),
        message_id: "<leased>",
        lease_id: "l",
        lease_until: now + 1000,
        attempts: 1,
      }),
      newRow(now, { code_salt: salt(9), message_id: "<sent>", state: "sent", settle_time: now - 1 }),
    ]);
    await put(store);
    const rows = new Map((await allRows(store)).map((row) => [row.message_id, row]));
    for (const id of ["<waiting>", "<leased>"]) {
      expect(rows.get(id)).toMatchObject({
        state: "dropped",
        reason: "superseded",
        settle_time: now,
        lease_id: null,
        lease_until: null,
      });
    }
    expect(rows.get("<sent>")).toMatchObject({ state: "sent", reason: null });
    expect(rows.size).toBe(4);
  });

  it("leaves the mails of other authenticators and purposes unchanged", async () => {
    const others = [
      newRow(now, { otp_email_id: "2", code_salt: salt(7) }),
      newRow(now, { purpose: "login", code_salt: salt(8) }),
    ];
    const store = await open(others, 2);
    await put(store);
    const rows = await allRows(store);
    expect(rows.map((row) => row.state)).toEqual(["queued", "queued", "queued"]);
  });

  it("is rolled back with its transaction", async () => {
    const store = await open();
    const failing = store.write(async (trx) => {
      await enqueue(trx, now, mail);
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    expect(await allRows(store)).toEqual([]);
  });
});

describe("claim", () => {
  const take = (store: Store, at = now, limit = 10, leaseId = "mine") =>
    claim(store, at, { leaseMs: 100_000, limit, leaseId });

  it("leases a row and counts the attempt", async () => {
    const store = await open([newRow(now)]);
    const [row] = await take(store);
    expect(row).toMatchObject({ attempts: 1, lease_id: "mine", lease_until: now + 100_000, state: "queued" });
    expect(await onlyRow(store)).toEqual(row);
  });

  it.each<[string, boolean, Partial<NewOutboxRow>]>([
    ["is due now", true, {}],
    ["is due in a millisecond", false, { next_attempt_time: now + 1 }],
    ["is leased", false, { lease_id: "theirs", lease_until: now + 1 }],
    ["has an expired lease", true, { lease_id: "theirs", lease_until: now }],
    ["was sent", false, { state: "sent" }],
    ["failed", false, { state: "failed" }],
    ["was dropped", false, { state: "dropped" }],
    ["expires in a millisecond", true, { expire_time: now + 1 }],
    ["has expired", false, { expire_time: now }],
  ])("claims a row that %s: %s", async (_name, claimed, change) => {
    const store = await open([newRow(now, change)]);
    expect((await take(store)).length).toBe(claimed ? 1 : 0);
  });

  it("takes no more than the limit, longest waiting first", async () => {
    const waits = [3, 1, 4, 1, 5, 9, 2, 6];
    const store = await open(waits.map((wait) => newRow(now, { next_attempt_time: now - wait })));
    const rows = await take(store, now, 4);
    expect(rows.map((row) => now - row.next_attempt_time)).toEqual([9, 6, 5, 4]);
  });

  it("drops expired rows and reports them", async () => {
    const store = await open([newRow(now - 600_000), newRow(now)]);
    const dropped: OutboxRow[] = [];
    const onExpired = (rows: OutboxRow[]) => void dropped.push(...rows);
    const rows = await claim(store, now, { leaseMs: 1, limit: 5, leaseId: "l", onExpired });
    expect(rows).toHaveLength(1);
    expect(dropped).toHaveLength(1);
    expect(dropped[0]).toMatchObject({ state: "dropped", reason: "expired", settle_time: now });
    expect((await allRows(store)).map((row) => row.state)).toEqual(["dropped", "queued"]);
  });

  it("leaves an expired row to the courier that leases it", async () => {
    const store = await open([newRow(now, { expire_time: now, lease_id: "l", lease_until: now + 1 })]);
    await take(store);
    expect(await onlyRow(store)).toMatchObject({ state: "queued", lease_id: "l" });
  });

  it("F20 works through a backlog of expired rows in bounded steps", async () => {
    const expired = Array.from({ length: 1_200 }, (_, i) => newRow(now - 700_000 + i));
    const store = await open([...expired, newRow(now)]);
    const dropped: number[] = [];
    const onExpired = (rows: OutboxRow[]) => void dropped.push(rows.length);
    const claimed: number[] = [];
    for (let i = 0; i < 3; i++) {
      claimed.push((await claim(store, now, { leaseMs: 1000, limit: 5, leaseId: "l", onExpired })).length);
    }
    expect(dropped).toEqual([500, 500, 200]);
    // The live row does not wait for the end of the backlog.
    expect(claimed).toEqual([1, 0, 0]);
  });

  it("F20 takes live rows at both ends of an expired backlog, then the longest waiting first", async () => {
    const expired = Array.from({ length: 1_600 }, (_, i) => newRow(now - 700_000 + i));
    const oldest = newRow(now, { next_attempt_time: now - 800_000 });
    const newest = [5, 4, 3, 2, 1].map((wait) => newRow(now - wait));
    const store = await open([...expired, oldest, ...newest]);
    const claimed: string[][] = [];
    for (let i = 0; i < 4; i++) claimed.push((await take(store, now, 3)).map((row) => row.mail_id));
    const [five, four, three, two, one] = newest.map((row) => `${row.mail_id}`);
    expect(claimed.map((ids) => ids.map(String))).toEqual([
      [`${oldest.mail_id}`],
      [three, two, one],
      [five, four],
      [],
    ]);
  });

  it("F20 drops the expired mail of a user who asks for another at the same time, without a deadlock", async () => {
    const store = await open([newRow(now - 700_000)]);
    let asking: Promise<void> | undefined;
    const ask = () =>
      store.write(async (trx) => {
        await lockUser(trx, userOf("1"));
        await trx.updateTable("outbox").set({ reason: "seen" }).where("user_id", "=", userOf("1")).execute();
      });
    await claim(store, now, {
      leaseMs: 1000,
      limit: 5,
      leaseId: "l",
      onSettle: async (trx) => {
        asking = ask();
        await sleep(100);
        await trx.updateTable("users").set({ change_time: now }).where("user_id", "=", userOf("1")).execute();
      },
    });
    await asking;
    expect(await onlyRow(store)).toMatchObject({ state: "dropped", reason: "seen" });
    if (engine === "sqlite") return;
    const { rows } = await sql<{ deadlocks: number }>`select deadlocks::int from pg_stat_database
      where datname = current_database()`.execute(store.db);
    expect(rows).toEqual([{ deadlocks: 0 }]);
  });

  it("F17 gives each of 200 rows to one of 50 concurrent claims", async () => {
    const store = await open(Array.from({ length: 200 }, () => newRow(now)));
    const claims = Array.from({ length: 50 }, (_, i) => take(store, now, 7, `lease-${i}`));
    const claimed = (await Promise.all(claims)).flat().map((row) => row.mail_id);
    expect(claimed).toHaveLength(200);
    expect(new Set(claimed).size).toBe(200);
  });
});

describe("settle", () => {
  async function claimed(change: Partial<NewOutboxRow> = {}) {
    const store = await open([newRow(now, change)]);
    const [row] = await claim(store, now, { leaseMs: 100_000, limit: 1, leaseId: "mine" });
    if (!row) throw new Error("the row was not claimed");
    return { store, row };
  }

  it.each<[Outcome, string, string | null]>([
    [{ kind: "sent" }, "sent", null],
    [{ kind: "reject", reason: "550 5.1.1 rcpt" }, "failed", "550 5.1.1 rcpt"],
    [{ kind: "drop", reason: "code not alive" }, "dropped", "code not alive"],
  ])("settles a row: %j", async (outcome, state, reason) => {
    const { store, row } = await claimed({ reason: "timeout" });
    expect(await settle(store, now + 5, row, outcome)).toEqual({ state, reason });
    expect(await onlyRow(store)).toMatchObject({
      state,
      reason,
      settle_time: now + 5,
      lease_id: null,
      lease_until: null,
      attempts: 1,
    });
  });

  it.each([
    [1, 2_000],
    [2, 5_000],
    [3, 15_000],
    [4, 30_000],
    [5, 60_000],
    [6, 120_000],
    [7, 240_000],
    [8, 240_000],
    [50, 240_000],
  ])("waits after attempt %i for %i ms and up to a tenth more", async (attempts, delay) => {
    const { store, row } = await claimed({ attempts: attempts - 1 });
    const outcome = { kind: "retry", reason: "timeout" } as const;
    expect(await settle(store, now, row, outcome)).toEqual({ state: "queued", reason: "timeout" });
    const after = await onlyRow(store);
    expect(after).toMatchObject({ state: "queued", reason: "timeout", settle_time: null, lease_id: null });
    expect(after.next_attempt_time).toBeGreaterThanOrEqual(now + delay);
    expect(after.next_attempt_time).toBeLessThanOrEqual(now + delay * 1.1);
  });

  it.each([
    [1, 2_000],
    [3, 15_000],
    [4, 25_000],
    [50, 25_000],
  ])(
    "F12 waits after attempt %i for %i ms and up to a tenth more if no relay was reached",
    async (attempts, delay) => {
      const { store, row } = await claimed({ attempts: attempts - 1 });
      await settle(store, now, row, { kind: "retry", reason: "connection", isUnreached: true });
      const { next_attempt_time } = await onlyRow(store);
      expect(next_attempt_time).toBeGreaterThanOrEqual(now + delay);
      expect(next_attempt_time).toBeLessThanOrEqual(now + delay * 1.1);
    },
  );

  it("fails a row at once if it expires before the next attempt", async () => {
    const { store, row } = await claimed({ expire_time: now + 2_000 });
    const outcome = { kind: "retry", reason: "451 rcpt" } as const;
    expect(await settle(store, now, row, outcome)).toEqual({ state: "failed", reason: "451 rcpt" });
    expect(await onlyRow(store)).toMatchObject({ state: "failed", reason: "451 rcpt", settle_time: now });
  });

  it.each<[Outcome, string]>([
    [{ kind: "sent" }, "sent"],
    [{ kind: "retry", reason: "451 rcpt" }, "queued"],
  ])("calls onSettle with the changed row: %j", async (outcome, state) => {
    const { store, row } = await claimed();
    const settled: OutboxRow[] = [];
    await settle(store, now, row, outcome, async (_trx, changed) => void settled.push(changed));
    expect(settled).toEqual([await onlyRow(store)]);
    expect(settled).toMatchObject([{ mail_id: row.mail_id, state }]);
  });

  it("F17 changes nothing if the lease belongs to another courier", async () => {
    const { store, row } = await claimed();
    const [taken] = await claim(store, now + 100_000, { leaseMs: 100_000, limit: 1, leaseId: "theirs" });
    expect(await settle(store, now + 100_001, row, { kind: "sent" })).toBeUndefined();
    await release(store, row);
    expect(await onlyRow(store)).toEqual(taken);
  });

  it("changes nothing a second time", async () => {
    const { store, row } = await claimed();
    await settle(store, now, row, { kind: "sent" });
    expect(await settle(store, now, row, { kind: "reject", reason: "550" })).toBeUndefined();
    expect(await onlyRow(store)).toMatchObject({ state: "sent" });
  });

  it("succeeds after the lease has ended if no one else claimed the row", async () => {
    const { store, row } = await claimed();
    expect(await settle(store, now + 200_000, row, { kind: "sent" })).toMatchObject({ state: "sent" });
  });
});

describe("release", () => {
  it("makes a row due at once", async () => {
    const store = await open([newRow(now)]);
    const [row] = await claim(store, now, { leaseMs: 100_000, limit: 1, leaseId: "mine" });
    await release(store, row!);
    expect(await onlyRow(store)).toMatchObject({
      state: "queued",
      lease_id: null,
      lease_until: null,
    });
    expect(await claim(store, now, { leaseMs: 1, limit: 1, leaseId: "next" })).toHaveLength(1);
  });
});

describe("nextDueTime", () => {
  it.each<[string, Partial<NewOutboxRow>[], number | undefined]>([
    ["is undefined for an empty outbox", [], undefined],
    [
      "is that of the earliest row",
      [{ next_attempt_time: now + 9 }, { next_attempt_time: now + 3 }],
      now + 3,
    ],
    ["may be in the past", [{ next_attempt_time: now - 9 }], now - 9],
    ["ignores settled rows", [{ state: "sent" }, { state: "failed" }], undefined],
    ["ignores leased rows", [{ lease_id: "l", lease_until: now + 1 }], undefined],
    ["includes rows with an expired lease", [{ lease_id: "l", lease_until: now }], now],
  ])("%s", async (_name, rows, expected) => {
    const store = await open(rows.map((row) => newRow(now, row)));
    expect(await nextDueTime(store.db, now)).toBe(expected);
  });
});
