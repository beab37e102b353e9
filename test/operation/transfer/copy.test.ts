import { join } from "node:path";
import { sql } from "kysely";
import { expect, it, onTestFinished } from "vitest";
import { openStore, type Store } from "../../../src/db/store.ts";
import { copiedTables, copyDatabase, DatabasesDiffer } from "../../../src/operation/transfer/copy.ts";
import { startTestApp, type TestApp } from "../../support/app.ts";
import { databaseUrlOf, openTestStore } from "../../support/db/database.ts";
import { outcomeOf } from "../../support/errors.ts";
import { temporaryFolder } from "../../support/folder.ts";
import { runCommand } from "../../support/process/process.ts";
import { addPending, addUser, addVerified } from "../../support/users.ts";

async function openSqlite(path = join(temporaryFolder(), "store.db")): Promise<Store> {
  const store = openStore(`sqlite:${path}`);
  onTestFinished(() => store[Symbol.asyncDispose]());
  await store.migrate();
  return store;
}

/** Starts a service on SQLite with rows in every table. */
async function startFilled() {
  const dataDir = join(temporaryFolder(), "data");
  const path = join(dataDir, "countersign.db");
  const test = await startTestApp({ dataDir, environment: { COUNTERSIGN_DATABASE_URL: `sqlite:${path}` } });
  const client = await test.admin();
  for (let i = 0; i < 30; i++) await addUser(client, `u${i}`, `o${i % 3}`);
  await addUser(client, "gone");
  await client.deleteUser({ userId: "gone" });
  const pending = await addPending(client, "u1", "pending@x.io");
  const otpEmailId = await addVerified(client, "u2", "mini@mouse.com");
  await client.addOTPEmail(
    { userId: "u2", email: { address: "mailed@x.io" } },
    { headers: { "idempotency-key": "k" } },
  );
  const failing = await addPending(client, "u3", "fails@x.io");
  await outcomeOf(client.verifyOTPEmail({ userId: "u3", otpEmailId: failing.otpEmailId, code: "AAAAAAAA" }));
  await client.removeOTPEmail({ userId: "u3", otpEmailId: failing.otpEmailId });
  const login = test.challengeClient(await test.token("login", { permissions: ["otp.challenge"] }));
  await login.createOTPEmailChallenge({ userId: "u2", otpEmailId, audience: "app" });
  await test.app.store.write((trx) =>
    trx
      .insertInto("suppressions")
      .values({
        digest: "d",
        otp_email_id: otpEmailId,
        status: "5.1.1",
        source: "relay",
        count: 1,
        create_time: 1,
        suppressed_until: 2,
        expire_time: test.clock.now() + 1_000_000,
      })
      .execute(),
  );
  // Waits for the courier, which writes, too.
  const waiting = test.app.store.db.selectFrom("outbox").select("mail_id").where("state", "=", "queued");
  await expect.poll(() => waiting.execute(), { timeout: 10_000 }).toEqual([]);
  return { test, client, store: test.app.store, pending };
}

const rowsOf = (copied: Awaited<ReturnType<typeof copyDatabase>>) =>
  Object.fromEntries(copied.map(({ table, rows }) => [table, rows]));

async function changesOf(from: Store, to: Store): Promise<number> {
  return (await copyDatabase(from, to)).reduce((sum, { changed }) => sum + changed, 0);
}

it("copies every table", async () => {
  const store = await openSqlite();
  const tables = (await store.db.introspection.getTables()).map(({ name }) => name);
  expect(Object.keys(copiedTables).toSorted()).toEqual(tables.toSorted());
});

it("copies rows of every table to PostgreSQL and back unchanged", async () => {
  const { store } = await startFilled();
  const postgres = await openTestStore();
  const there = await copyDatabase(store, postgres);
  expect(there.map(({ table }) => table)).toEqual(Object.keys(copiedTables));
  for (const { table, rows, changed } of there) {
    expect(rows, table).toBeGreaterThan(0);
    expect(changed, table).toBe(rows);
  }
  const back = await copyDatabase(postgres, await openSqlite());
  expect(back.map(({ checksum }) => checksum)).toEqual(there.map(({ checksum }) => checksum));
  expect(rowsOf(back)).toEqual(rowsOf(there));
});

it("lets the service continue on the copy, with its codes and positions", async () => {
  const { test, pending, store } = await startFilled();
  const folder = join(temporaryFolder(), "data");
  const postgres = await openTestStore(folder);
  await copyDatabase(store, postgres);
  const { position } = await postgres.db
    .selectFrom("events")
    .select((eb) => eb.fn.max("position").as("position"))
    .executeTakeFirstOrThrow();
  await test.app[Symbol.asyncDispose]();

  const moved = await startMoved(test, folder);
  const client = await moved.admin();
  expect(await outcomeOf(client.verifyOTPEmail({ userId: "u1", ...pending }))).toBe("OK");
  const { events } = await client.listEvents({ userId: "u1" });
  const verified = events.find(({ type }) => type === "otp_email.verified");
  expect(Number(verified?.position)).toBe(position + 1);
});

/** Starts the same service, with its keys, on the database of another folder. */
async function startMoved(test: TestApp, folder: string): Promise<TestApp> {
  const environment = { COUNTERSIGN_DATABASE_URL: await databaseUrlOf(folder) };
  return startTestApp({ dataDir: test.dataDir, clock: test.clock, environment });
}

it("resumes an interrupted copy without writing a row twice", async () => {
  const { store } = await startFilled();
  await store.write((trx) =>
    trx
      .insertInto("hits")
      .values(Array.from({ length: 3_000 }, (_, i) => ({ digest: "d", time: i, count: 1, expire_time: i })))
      .execute(),
  );
  const postgres = await openTestStore();
  const stopping = new AbortController();
  const broken = copyDatabase(store, postgres, {
    signal: stopping.signal,
    onProgress: (table, done) => {
      if (table === "hits" && done >= 1_500) stopping.abort();
    },
  });
  await expect(broken).rejects.toThrow(/abort/i);
  const { rows } = await sql<{ count: number }>`select count(*)::int as count from hits`.execute(postgres.db);
  const copied = await copyDatabase(store, postgres);
  const hits = copied.find(({ table }) => table === "hits");
  expect(hits?.rows).toBeGreaterThan(3_000);
  expect(hits?.changed).toBe((hits?.rows ?? 0) - (rows[0]?.count ?? 0));
  expect(await changesOf(store, postgres)).toBe(0);
});

it("updates new, changed and removed rows, and a unique value that moved", async () => {
  const { store, client } = await startFilled();
  const postgres = await openTestStore();
  await copyDatabase(store, postgres);
  await client.deleteUser({ userId: "u0" });
  await client.lockUser({ userId: "u5" });
  await addUser(client, "new");
  // The same address of the same user, with another id.
  const { otpEmails } = await client.listOTPEmails({ userId: "u1" });
  await client.removeOTPEmail({ userId: "u1", otpEmailId: otpEmails[0]?.otpEmailId ?? "" });
  await addPending(client, "u1", "pending@x.io");
  const copied = await copyDatabase(store, postgres);
  expect(rowsOf(copied).users).toBe(30);
  expect(copied.find(({ table }) => table === "users")?.changed).toBe(3);
  expect(await changesOf(store, postgres)).toBe(0);
});

it("rejects if a database was written to during the copy", async () => {
  const { store, client } = await startFilled();
  const postgres = await openTestStore();
  let late: Promise<void> | undefined;
  const copying = copyDatabase(store, postgres, {
    onProgress: (table) => {
      if (table === "events") late ??= addUser(client, "late");
    },
  });
  await expect(copying).rejects.toThrow(DatabasesDiffer);
  await late;
  expect(await changesOf(store, postgres)).toBeGreaterThan(0);
});

it("keeps ids beyond 2^53, bytes and nulls from PostgreSQL", async () => {
  const postgres = await openTestStore();
  const id = "9223372036854775807";
  await postgres.write(async (trx) => {
    await trx
      .insertInto("users")
      .values({ user_id: "ü'\\", org_id: "o", state: "active", sequence: 0, create_time: 1, change_time: 1 })
      .execute();
    await trx
      .insertInto("otp_emails")
      .values({
        otp_email_id: id,
        user_id: "ü'\\",
        address: "a@x.io",
        address_canonical: "a@x.io",
        code_salt: Uint8Array.from({ length: 256 }, (_, i) => i),
        attempts: 0,
        lock_count: 0,
        create_time: 1_795_000_000_000,
        change_time: 1,
      })
      .execute();
  });
  const sqlite = await openSqlite();
  await copyDatabase(postgres, sqlite);
  const [original, copy] = await Promise.all(
    [postgres, sqlite].map(({ db }) => db.selectFrom("otp_emails").selectAll().executeTakeFirstOrThrow()),
  );
  expect(copy?.otp_email_id).toBe(id);
  expect(Buffer.from(copy?.code_salt ?? []).equals(Buffer.from(original?.code_salt ?? []))).toBe(true);
  expect({ ...copy, code_salt: null }).toEqual({ ...original, code_salt: null });
});

it("is run by a command that prints what it copied", async () => {
  const { store } = await startFilled();
  const folder = join(temporaryFolder(), "data");
  const path = join(temporaryFolder(), "copy.db");
  await copyDatabase(store, await openTestStore(folder));
  const args = ["copy", "--from", await databaseUrlOf(folder), "--to", `sqlite:${path}`];
  const first = await runCommand(args);
  expect(first).toMatchObject({ code: 0, stderr: "" });
  expect(first.stdout).toMatch(/^users +30 rows, 30 of them written, sha256 [0-9a-f]{16}$/m);
  expect(first.stdout).toMatch(/^both databases are the same$/m);
  expect((await runCommand(args)).stdout).toMatch(/^users +30 rows, 0 of them written/m);
  const same = await runCommand(["copy", "--from", `sqlite:${path}`, "--to", `sqlite:${path}`]);
  expect(same).toMatchObject({ code: 1, stderr: expect.stringContaining("are the same database") });
});
