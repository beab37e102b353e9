import { readFileSync } from "node:fs";
import { Migrator, sql } from "kysely";
import { describe, expect, it, onTestFinished } from "vitest";
import type { UserRow } from "../../src/db/core/schema.ts";
import { migrations } from "../../src/db/migrations/index.ts";
import { postgresTypes } from "../../src/db/postgres/types.ts";
import type { Store } from "../../src/db/store.ts";
import { appendEvent } from "../../src/events/event.ts";
import { createEventFeed } from "../../src/events/event-feed.ts";
import { listEvents } from "../../src/events/list-events.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { deleteUser } from "../../src/users/delete-user.ts";
import { createUser, findUser } from "../../src/users/user.ts";
import {
  databaseUrlOf,
  emptyTestStore,
  engine,
  eventsSettled,
  openTestStore,
  withClient,
} from "../support/db/database.ts";
import { temporaryFolder } from "../support/folder.ts";

const cause = { actor: "a", caller: undefined, clientAddress: "192.0.2.1", reason: undefined };

const create = (store: Store, userId: string, orgId = "o") =>
  createUser(store, systemClock, { ...cause, userId, orgId });

async function userOf(store: Store, userId: string): Promise<UserRow> {
  const user = await findUser(store.db, userId);
  if (!user) throw new Error(`no user ${userId}`);
  return user;
}

const append = (store: Store, userId: string) =>
  store.write((trx) => appendEvent(trx, systemClock, { ...cause, userId, type: "user.locked" }));

const remove = async (store: Store, userId: string) =>
  deleteUser(store, systemClock, { ...cause, user: await userOf(store, userId) });

/** All events in order, in short. */
async function auditLogOf(store: Store): Promise<string[]> {
  const events = await store.db.selectFrom("events").selectAll().orderBy("position").execute();
  return events.map(
    (e) => `${e.position} ${e.org_id}/${e.user_id} ${e.sequence} after ${e.previous ?? "none"}`,
  );
}

/** The positions of a user's events, newest first. */
async function listed(store: Store, userId: string, limit = 100): Promise<number[]> {
  const events = await listEvents(store.db, await userOf(store, userId), { limit });
  return events.map(({ position }) => position);
}

describe("the links of events", () => {
  it("lead from a user back to its first event, and to no other user's", async () => {
    const store = await openTestStore();
    await create(store, "u");
    await create(store, "v");
    await append(store, "u");
    await append(store, "v");
    await append(store, "u");
    expect(await auditLogOf(store)).toEqual([
      "1 o/u 1 after none",
      "2 o/v 1 after none",
      "3 o/u 2 after 1",
      "4 o/v 2 after 2",
      "5 o/u 3 after 3",
    ]);
    expect(await listed(store, "u")).toEqual([5, 3, 1]);
    expect(await listed(store, "u", 2)).toEqual([5, 3]);
    expect(await listed(store, "v")).toEqual([4, 2]);
    const u = await userOf(store, "u");
    const from = async (position: number) =>
      (await listEvents(store.db, u, { from: position, limit: 100 })).map((e) => e.position);
    expect(await from(3)).toEqual([3, 1]);
    expect(await from(4)).toEqual([]);
    expect(await from(9)).toEqual([]);
  });

  it("continue over the deletion of a user within its organization, and not in another", async () => {
    const store = await openTestStore();
    for (const [orgId, positions] of [
      ["o", [1]],
      ["p", [3]],
      ["o", [5, 2, 1]],
      ["p", [7, 4, 3]],
      ["o", [9, 6, 5, 2, 1]],
    ] as const) {
      await create(store, "u", orgId);
      expect(await listed(store, "u")).toEqual(positions);
      expect((await userOf(store, "u")).sequence).toBe(positions.length);
      await remove(store, "u");
    }
    expect(await store.db.selectFrom("ended_trails").selectAll().orderBy("org_id").execute()).toEqual([
      { org_id: "o", user_id: "u", sequence: 6, last_event: 10 },
      { org_id: "p", user_id: "u", sequence: 4, last_event: 8 },
    ]);
  });

  it("are in order when a user is changed many times at once", async () => {
    const store = await openTestStore();
    await create(store, "u");
    await Promise.all(Array.from({ length: 60 }, () => append(store, "u")));
    const events = await listEvents(store.db, await userOf(store, "u"), { limit: 100 });
    expect(events.map((e) => e.sequence)).toEqual(Array.from({ length: 61 }, (_, i) => 61 - i));
    expect(events.map((e) => e.position)).toEqual(events.map((e) => e.position).toSorted((a, b) => b - a));
  });

  it("reuse no position, even if the newest events are gone", async () => {
    const store = await openTestStore();
    await create(store, "u");
    await create(store, "v");
    await store.write((trx) => trx.deleteFrom("events").execute());
    await create(store, "w");
    expect(await auditLogOf(store)).toEqual(["3 o/w 1 after none"]);
  });

  it.runIf(engine === "postgres")(
    "take a position only after the transaction has its id, which the feed relies on",
    async () => {
      const folder = temporaryFolder();
      const first = await openTestStore(folder);
      await create(first, "u");
      // Replaces PostgreSQL's own nextval for new connections.
      await sql`create function nextval(regclass) returns bigint language plpgsql as $$ begin
        if pg_current_xact_id_if_assigned() is null then raise exception 'no transaction id yet'; end if;
        return pg_catalog.nextval($1);
      end $$`.execute(first.db);
      const name = await sql<{ name: string }>`select current_database() as name`.execute(first.db);
      await sql`alter database ${sql.ref(name.rows[0]!.name)} set search_path = public, pg_catalog`.execute(
        first.db,
      );

      const store = await openTestStore(folder);
      await expect(sql`select nextval('event_positions')`.execute(store.db)).rejects.toThrow(
        "no transaction id yet",
      );
      await append(store, "u");
      expect(await listed(store, "u")).toEqual([2, 1]);
    },
  );
});

/** The statements in docs/storage.md that partition the audit log. */
function partitioning(): string {
  const page = readFileSync(new URL("../../docs/storage.md", import.meta.url), "utf8");
  const block = /^```sql\n([\s\S]*?)^```/m.exec(page)?.[1];
  if (block === undefined) throw new Error("docs/storage.md has no SQL");
  return block;
}

it.runIf(engine === "postgres")(
  "the audit log can be partitioned as docs/storage.md says, and old partitions dropped",
  async () => {
    const folder = temporaryFolder();
    const store = await openTestStore(folder);
    await create(store, "u");
    await create(store, "v");
    await append(store, "u");
    await withClient(await databaseUrlOf(folder), (client) => client.query(partitioning()));
    await append(store, "u");
    await append(store, "v");
    expect(await auditLogOf(store)).toEqual([
      "1 o/u 1 after none",
      "2 o/v 1 after none",
      "3 o/u 2 after 1",
      "4 o/u 3 after 3",
      "5 o/v 2 after 2",
    ]);
    expect(await listed(store, "u")).toEqual([4, 3, 1]);
    const feed = createEventFeed(store, systemClock);
    onTestFinished(() => feed.close());
    await eventsSettled(store);
    const watch = feed.watch({ organizations: "all", after: 3, signal: AbortSignal.timeout(10_000) });
    const positions = [];
    for await (const { position } of watch) if (positions.push(position) === 3) break;
    expect(positions).toEqual([3, 4, 5]);

    await store.write((trx) => sql`drop table events_to_1`.execute(trx));
    expect(await listed(store, "u")).toEqual([4]);
    await remove(store, "u");
    await create(store, "u");
    expect(await listed(store, "u")).toEqual([7, 6, 4]);
    expect((await userOf(store, "u")).sequence).toBe(5);
    expect(await store.migrate()).toEqual([]);
  },
);

describe("0011-event-links and 0012-clustered-rows", () => {
  it("link existing events, also those of deleted users, and lose nothing", async () => {
    const store = await emptyTestStore();
    const before = Object.fromEntries(Object.entries(migrations).filter(([name]) => name < "0011"));
    const typed = engine === "postgres" ? store.db.withPlugin(postgresTypes) : store.db;
    const migrator = new Migrator({ db: typed, provider: { getMigrations: async () => before } });
    const { error } = await migrator.migrateToLatest();
    expect(error).toBeUndefined();
    await sql`insert into users (user_id, org_id, state, sequence, create_time, change_time)
      values ('u', 'p', 'active', 2, 1, 1), ('v', 'o', 'active', 2, 1, 1), ('new', 'o', 'active', 0, 1, 1)`.execute(
      store.db,
    );
    // The id u was deleted in o and taken in p. The id d was deleted.
    for (const [orgId, userId, sequence] of [
      ["o", "u", 1],
      ["o", "v", 1],
      ["o", "u", 2],
      ["o", "d", 1],
      ["p", "u", 1],
      ["o", "v", 2],
      ["p", "u", 2],
    ] as const) {
      await sql`insert into events (org_id, user_id, sequence, type, time, actor, client_address, reason, data)
        values (${orgId}, ${userId}, ${sequence}, 'user.locked', 7, 'a', '192.0.2.1', 'r', '{"k":1}')`.execute(
        store.db,
      );
    }
    await sql`insert into otp_emails (otp_email_id, user_id, address, address_canonical, attempts, lock_count, create_time,
      change_time) values (7, 'v', 'a@x.io', 'a@x.io', 3, 1, 9, 9)`.execute(store.db);
    await sql`insert into hits (digest, time, count, expire_time) values ('d', 1, 2, 3), ('c', 4, 5, 6)`.execute(
      store.db,
    );
    expect(await store.migrate()).toEqual(Object.keys(migrations).filter((name) => name >= "0011"));
    const { db } = store;
    expect(
      await db.selectFrom("otp_emails").select(["otp_email_id", "user_id", "attempts"]).execute(),
    ).toEqual([{ otp_email_id: 7, user_id: "v", attempts: 3 }]);
    expect(await db.selectFrom("hits").selectAll().orderBy("digest").execute()).toEqual([
      { digest: "c", time: 4, count: 5, expire_time: 6 },
      { digest: "d", time: 1, count: 2, expire_time: 3 },
    ]);
    expect(await auditLogOf(store)).toEqual([
      "1 o/u 1 after none",
      "2 o/v 1 after none",
      "3 o/u 2 after 1",
      "4 o/d 1 after none",
      "5 p/u 1 after none",
      "6 o/v 2 after 2",
      "7 p/u 2 after 5",
    ]);
    const rest = { type: "user.locked", time: 7, actor: "a", client_address: "192.0.2.1", reason: "r" };
    expect(await store.db.selectFrom("events").selectAll().execute()).toMatchObject(
      Array(7).fill({ ...rest, data: '{"k":1}' }),
    );
    expect(await store.db.selectFrom("ended_trails").selectAll().orderBy("user_id").execute()).toEqual([
      { org_id: "o", user_id: "d", sequence: 1, last_event: 4 },
      { org_id: "o", user_id: "u", sequence: 2, last_event: 3 },
    ]);
    expect(await listed(store, "u")).toEqual([7, 5]);
    expect(await listed(store, "v")).toEqual([6, 2]);
    expect(await listed(store, "new")).toEqual([]);

    await append(store, "new");
    await append(store, "v");
    await create(store, "d");
    expect(await listed(store, "new")).toEqual([8]);
    expect(await listed(store, "v")).toEqual([9, 6, 2]);
    expect(await listed(store, "d")).toEqual([10, 4]);
    expect((await userOf(store, "d")).sequence).toBe(2);

    // Foreign keys are enforced again.
    await remove(store, "v");
    expect(await db.selectFrom("otp_emails").selectAll().execute()).toEqual([]);
  });
});
