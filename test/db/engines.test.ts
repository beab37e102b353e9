import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { sql, type Transaction } from "kysely";
import pg from "pg";
import { describe, expect, it, onTestFinished } from "vitest";
import { lockNames, lockUser } from "../../src/db/core/lock.ts";
import type { DB } from "../../src/db/core/schema.ts";
import { openDatabaseClock } from "../../src/db/postgres/clock.ts";
import { isStorageUnavailable } from "../../src/db/storage-errors.ts";
import { openStore, type Store } from "../../src/db/store.ts";
import { appendEvent } from "../../src/events/event.ts";
import { createEventFeed } from "../../src/events/event-feed.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { createUser } from "../../src/users/user.ts";
import { databaseUrlOf, engine, openTestStore } from "../support/db/database.ts";
import { startDatabaseProxy } from "../support/db/database-proxy.ts";
import { temporaryFolder } from "../support/folder.ts";

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

async function insertOTPEmail(trx: Transaction<DB>, otpEmailId: string): Promise<void> {
  await trx.insertInto("users").values(user).execute();
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
    const folder = temporaryFolder();
    const store = await openTestStore(folder);
    const again = openStore(await databaseUrlOf(folder));
    onTestFinished(() => again[Symbol.asyncDispose]());
    expect(await again.migrate()).toEqual([]);
    expect(await again.isReady()).toBe(true);
    expect(await store.isReady()).toBe(true);
  });

  it("F09 refuses a database of a newer version", async () => {
    const folder = temporaryFolder();
    const store = await openTestStore(folder);
    await sql`insert into kysely_migration (name, timestamp) values ('9999-from-the-future', '')`.execute(
      store.db,
    );
    const again = openStore(await databaseUrlOf(folder));
    onTestFinished(() => again[Symbol.asyncDispose]());
    await expect(again.migrate()).rejects.toThrow(/newer version of Countersign \(9999-from-the-future\)/);
  });

  it("rolls a failed write back, and the writes beside it stand", async () => {
    const store = await openTestStore();
    const results = await Promise.allSettled([
      store.write((trx) => trx.insertInto("users").values(user).execute()),
      store.write(async (trx) => {
        await trx
          .insertInto("users")
          .values({ ...user, user_id: "v" })
          .execute();
        throw new Error("no");
      }),
      store.write((trx) =>
        trx
          .insertInto("users")
          .values({ ...user, user_id: "w" })
          .execute(),
      ),
    ]);
    expect(results.map((r) => r.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    const rows = await store.db.selectFrom("users").select("user_id").orderBy("user_id").execute();
    expect(rows.map((r) => r.user_id)).toEqual(["u", "w"]);
  });

  it("runs a write again whose new id another process made too", async () => {
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

  it("keeps bytes as they are, and lists text in the order of its bytes", async () => {
    const store = await openTestStore();
    const names = ["a", "B", "é", "z", "Z", "_", "1", "ä"];
    await store.write((trx) =>
      trx
        .insertInto("users")
        .values(names.map((user_id) => ({ ...user, user_id })))
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
  ])("50 writes under the lock of %s count exactly, in two stores", async (_, lock) => {
    const folder = temporaryFolder();
    const stores = [await openTestStore(folder), await openTestStore(folder)];
    await stores[0]!.write((trx) => trx.insertInto("users").values(user).execute());
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

if (engine === "postgres") {
  describe("a store on PostgreSQL", () => {
    async function openWithTwoUsers(folder = temporaryFolder()) {
      const store = await openTestStore(folder);
      await store.write((trx) =>
        trx
          .insertInto("users")
          .values([user, { ...user, user_id: "v" }])
          .execute(),
      );
      return store;
    }

    const touch = (trx: Transaction<DB>, userId: string) =>
      trx
        .updateTable("users")
        .set((eb) => ({ sequence: eb("sequence", "+", 1) }))
        .where("user_id", "=", userId)
        .execute();

    const sequences = async (store: Store) =>
      (await store.db.selectFrom("users").select("sequence").orderBy("user_id").execute()).map(
        (r) => r.sequence,
      );

    /** Runs two writes at once, each of which waits in the middle of its first run until the other is there, too. */
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

    async function openWithSetting(name: string, value: string, folder = temporaryFolder()) {
      const store = await openWithTwoUsers(folder);
      const database = new URL(await databaseUrlOf(folder)).pathname.slice(1);
      await sql`alter database ${sql.ref(database)} set ${sql.raw(name)} = ${sql.lit(value)}`.execute(
        store.db,
      );
      return openTestStore(folder);
    }

    const crossing = [
      ["u", "v"],
      ["v", "u"],
    ] as const;

    it("F08 40P01: of two writes that wait for each other one runs again, and each lands once", async () => {
      const store = await openWithSetting("deadlock_timeout", "20ms");
      const outcome = await runCrossing(store, async (trx, index, meet) => {
        const [first, second] = crossing[index]!;
        await touch(trx, first);
        await meet();
        await touch(trx, second);
      });
      expect(outcome).toEqual({ runs: [1, 2], codes: ["40P01"] });
      expect(await sequences(store)).toEqual([2, 2]);
    });

    it("F08 40P01: a write that crosses a connection of someone else's runs again, and lands once", async () => {
      const folder = temporaryFolder();
      const store = await openWithSetting("deadlock_timeout", "20ms", folder);
      const url = await databaseUrlOf(folder);
      // The other waits for longer: it is the write that the server picks.
      const other = new pg.Client({ connectionString: url });
      await other.connect();
      onTestFinished(() => other.end());
      await other.query("set deadlock_timeout = '10s'");
      await other.query("begin; lock table outbox in exclusive mode");
      const codes: unknown[] = [];
      let theirs: Promise<unknown> | undefined;
      await store.write(async (trx) => {
        await touch(trx, "u");
        theirs ??= other.query("lock table users in exclusive mode").then(() => other.query("commit"));
        await sql`lock table outbox in exclusive mode`.execute(trx).catch((error) => {
          codes.push(error.code);
          throw error;
        });
      });
      await theirs;
      expect(codes).toEqual(["40P01"]);
      expect(await sequences(store)).toEqual([1, 0]);
    });

    it("F08 40001: of two writes of one row, serializable, one runs again, and each lands once", async () => {
      const store = await openWithSetting("default_transaction_isolation", "serializable");
      const outcome = await runCrossing(store, async (trx, _, meet) => {
        await trx.selectFrom("users").select("sequence").where("user_id", "=", "u").execute();
        await meet();
        await touch(trx, "u");
      });
      expect(outcome).toEqual({ runs: [1, 2], codes: ["40001"] });
      expect(await sequences(store)).toEqual([2, 0]);
    });

    it("F08 40001: two writes that each read what the other writes end as one after the other", async () => {
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
      // Only the commit tells: it is in no statement of the work.
      expect(runs).toEqual([1, 2]);
      expect((await sequences(store)).toSorted()).toEqual([1, 2]);
    });

    it("F08 loses no update where transactions are serializable", async () => {
      const again = await openWithSetting("default_transaction_isolation", "serializable");
      const { rows } = await sql<Record<string, string>>`show transaction_isolation`.execute(again.db);
      expect(Object.values(rows[0]!)).toEqual(["serializable"]);
      const count = () =>
        again.write(async (trx) => {
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
      expect(await sequences(again)).toEqual([done, 0]);
    });

    it("F08 says that it is not available when its connections are cut, and goes on with new ones", async () => {
      const folder = temporaryFolder();
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
      expect(await sequences(store)).toEqual([0, 0]);
      await store.write((trx) => touch(trx, "u"));
      expect(await sequences(store)).toEqual([1, 0]);
    });

    it("F08 says that it is not available, and is not ready, where nothing may be written", async () => {
      const folder = temporaryFolder();
      await openWithTwoUsers(folder);
      const url = `${await databaseUrlOf(folder)}?options=-c%20default_transaction_read_only%3Don`;
      const standby = openStore(url);
      onTestFinished(() => standby[Symbol.asyncDispose]());
      expect(await standby.isReady()).toBe(false);
      const error = await standby.write((trx) => touch(trx, "u")).catch((error) => error);
      expect(isStorageUnavailable(error)).toBe(true);
    });

    it("F08 says that it is not available, and is not ready, where no server is", async () => {
      const store = openStore("postgres://someone:secret@127.0.0.1:1/none");
      onTestFinished(() => store[Symbol.asyncDispose]());
      expect(await store.isReady()).toBe(false);
      const error = await store.write((trx) => touch(trx, "u")).catch((error) => error);
      expect(isStorageUnavailable(error)).toBe(true);
      expect(String(error)).not.toContain("secret");
    });

    it("F08 finds the one of several hosts that answers, and lets go of those that it had of another", async () => {
      const folder = temporaryFolder();
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
      // New connections come to nothing there; the idle ones of before live on.
      proxy.port = 1;
      await Promise.all(Array.from({ length: 4 }, () => store.write((trx) => touch(trx, "u"))));
      proxy.port = Number(url.port);
      expect(await sequences(store)).toEqual([5, 0]);
      expect(await Promise.all(Array.from({ length: 4 }, portOfClient))).not.toContain(before);
    });

    it("tells no event before one that can still come in front of it, and then both in their order", async () => {
      const store = await openTestStore();
      const feed = createEventFeed(store, systemClock);
      onTestFinished(() => feed.close());
      const ending = new AbortController();
      const watched = feed.watch({ organizations: "all", after: 0, signal: ending.signal });
      expect((await watched.next()).value).toMatchObject({ position: 0, event: undefined });
      let finish = () => {};
      const slow = store.write(async (trx) => {
        await trx
          .insertInto("users")
          .values({ ...user, user_id: "slow" })
          .execute();
        await appendEvent(trx, systemClock, { userId: "slow", type: "user.created", actor: "a" });
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
      });
      await expect.poll(() => finish.length).toBe(1);
      await createUser(store, systemClock, { userId: "quick", orgId: "o", actor: "a" });
      const next = watched.next();
      // It was committed, and is kept back.
      const first = await Promise.race([next, sleep(300).then(() => "nothing")]);
      expect(first).toBe("nothing");
      finish();
      await slow;
      const told = [await next, await watched.next()].map(({ value }) => value?.event?.user_id);
      expect(told).toEqual(["slow", "quick"]);
      ending.abort();
    });

    it("prepares statements by name, unless it is told not to", async () => {
      const folder = temporaryFolder();
      const prepared = async (store: Store) => {
        await store.db.selectFrom("users").select("user_id").execute();
        const { rows } = await sql<{ name: string }>`select name from pg_prepared_statements`.execute(
          store.db,
        );
        return rows.map(({ name }) => name);
      };
      expect(await prepared(await openWithTwoUsers(folder))).toContainEqual(
        expect.stringMatching(/^countersign_/),
      );
      const plain = openStore(`${await databaseUrlOf(folder)}?prepare=off`);
      onTestFinished(() => plain[Symbol.asyncDispose]());
      expect(await prepared(plain)).toEqual([]);
    });

    it("takes the time from the database, whatever the clock of this machine says (F11)", async () => {
      const store = await openTestStore();
      const real = Date.now;
      onTestFinished(() => {
        Date.now = real;
      });
      const truth = real();
      Date.now = () => real() + 300_000;
      const skews: number[] = [];
      await using clock = await openDatabaseClock({
        store,
        onSkew: (skewMs) => void skews.push(skewMs),
        onError: (error) => {
          throw error;
        },
      });
      expect(clock.now() - truth).toBeLessThan(60_000);
      expect(skews).toEqual([expect.closeTo(-300_000, -4)]);
    });
  });

  it.each([
    "postgres://someone:secret@h:port/x",
    "postgres://someone:secret@h:1,h:port/x",
    "postgres://someone:secret@h/x?prepare=perhaps",
    "postgres://someone:secret@h,i/x?target_session_attrs=standby",
  ])("refuses %s, and quotes none of it", (url) => {
    expect(() => openStore(url)).toThrow(/database URL/);
    expect(() => openStore(url)).not.toThrow(/secret/);
  });
}
