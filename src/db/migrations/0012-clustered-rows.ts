import { type Kysely, sql } from "kysely";
import { hasManyWriters } from "../core/lock.ts";

/**
 * Stores users and hits in the tree of their primary key (`without rowid`). SQLite kept them in a second tree, by row number, and
 * each lookup went through both (docs/performance.md#storage). PostgreSQL has no such tables.
 *
 * Other tables refer to users, so foreign keys are off during migrations on SQLite (see sqlite/engine.ts).
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  if (hasManyWriters(db)) return;
  const { rows: settings } = await sql<{ foreign_keys: number }>`pragma foreign_keys`.execute(db);
  if (settings[0]?.foreign_keys !== 0)
    throw new Error("foreign keys are on: dropping users would delete the rows that refer to them");
  await db.schema
    .createTable("users_by_id")
    .addColumn("user_id", "text", (c) => c.primaryKey().notNull())
    .addColumn("org_id", "text", (c) => c.notNull())
    .addColumn("state", "text", (c) => c.notNull())
    .addColumn("preferred_language", "text")
    .addColumn("display_name", "text")
    .addColumn("sequence", "integer", (c) => c.notNull())
    .addColumn("last_event", "integer")
    .addColumn("previous_event", "integer")
    .addColumn("create_time", "integer", (c) => c.notNull())
    .addColumn("change_time", "integer", (c) => c.notNull())
    .modifyEnd(sql`without rowid`)
    .execute();
  await sql`
    insert into users_by_id
      (user_id, org_id, state, preferred_language, display_name, sequence, last_event, previous_event, create_time, change_time)
    select
      user_id, org_id, state, preferred_language, display_name, sequence, last_event, previous_event, create_time, change_time
    from users order by user_id
  `.execute(db);
  await db.schema.dropTable("users").execute();
  await db.schema.alterTable("users_by_id").renameTo("users").execute();
  await db.schema.createIndex("users_of_org").on("users").columns(["org_id", "user_id"]).execute();
  await db.schema.createIndex("users_by_state").on("users").columns(["org_id", "state", "user_id"]).execute();
  const { rows: orphans } = await sql`pragma foreign_key_check`.execute(db);
  if (orphans.length > 0)
    throw new Error("the database has rows that refer to missing users: restore a backup");

  await db.schema
    .createTable("hits_by_digest")
    .addColumn("digest", "text", (c) => c.notNull())
    .addColumn("time", "integer", (c) => c.notNull())
    .addColumn("count", "integer", (c) => c.notNull())
    .addColumn("expire_time", "integer", (c) => c.notNull())
    .addPrimaryKeyConstraint("hits_pk", ["digest", "time"])
    .modifyEnd(sql`without rowid`)
    .execute();
  await sql`
    insert into hits_by_digest (digest, time, count, expire_time)
    select digest, time, count, expire_time from hits order by digest, time
  `.execute(db);
  await db.schema.dropTable("hits").execute();
  await db.schema.alterTable("hits_by_digest").renameTo("hits").execute();
  await db.schema.createIndex("hits_expired").on("hits").column("expire_time").execute();
}
