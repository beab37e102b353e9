import { join } from "node:path";
import { Kysely, Migrator, sql } from "kysely";
import { describe, expect, it, onTestFinished } from "vitest";
import { migrations } from "../../../src/db/migrations/index.ts";
import { openSqlite } from "../../../src/db/sqlite/engine.ts";
import { openStore } from "../../../src/db/store.ts";
import { memoryFolder } from "../../support/db/memory-folder.ts";

const first = "0001-users-and-otp-emails";

/** A database after the first migration, with the rows that `fill` writes. */
async function databaseOfFirst(fill: (db: Kysely<unknown>) => Promise<unknown>): Promise<string> {
  const path = join(memoryFolder(), "store.db");
  const db = new Kysely<unknown>({ dialect: openSqlite(path, { onError() {}, onFailure() {} }).dialect });
  const provider = { getMigrations: async () => ({ [first]: migrations[first]! }) };
  const { error } = await new Migrator({ db, provider }).migrateToLatest();
  if (error) throw error;
  await fill(db);
  await db.destroy();
  return path;
}

describe("0002-lifecycle", () => {
  it("keeps every event, and gives it a position and its user's organization", async () => {
    const path = await databaseOfFirst(async (db) => {
      await sql`insert into users (user_id, org_id, state, sequence, create_time, change_time)
        values ('u', 'o', 'active', 2, 1, 9), ('v', 'p', 'active', 1, 5, 5)`.execute(db);
      await sql`insert into events (user_id, sequence, type, time, actor, data)
        values ('u', 1, 'user.created', 1, 'a', '{}'), ('u', 2, 'otp_email.added', 9, 'b', '{"otp_email_id":"7"}'),
          ('v', 1, 'user.created', 5, 'a', '{}')`.execute(db);
      await sql`insert into otp_emails (otp_email_id, user_id, address, address_canonical, attempts, lock_count,
        create_time, change_time) values (7, 'u', 'a@x.io', 'a@x.io', 3, 1, 9, 9)`.execute(db);
    });
    const store = openStore(`sqlite:${path}`);
    onTestFinished(() => store[Symbol.asyncDispose]());
    expect(await store.migrate()).toEqual(Object.keys(migrations).slice(1));
    const events = await store.db.selectFrom("events").selectAll().orderBy("position").execute();
    expect(events).toEqual([
      { ...event(1, "o", "u", 1), type: "user.created", time: 1, actor: "a", data: "{}" },
      { ...event(2, "p", "v", 1), type: "user.created", time: 5, actor: "a", data: "{}" },
      {
        ...event(3, "o", "u", 2),
        previous: 1,
        type: "otp_email.added",
        time: 9,
        actor: "b",
        data: '{"otp_email_id":"7"}',
      },
    ]);
    const otpEmail = await store.db.selectFrom("otp_emails").selectAll().executeTakeFirst();
    expect(otpEmail).toMatchObject({ otp_email_id: 7, attempts: 3, lock_count: 1, mail_state: null });
  });
});

function event(position: number, org_id: string, user_id: string, sequence: number) {
  return { position, previous: null, org_id, user_id, sequence, client_address: null, reason: null };
}
