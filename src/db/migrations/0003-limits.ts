import type { Kysely } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await addFailures(db);
  await createHits(db);
  await createRetryKeys(db);
  // Notices say where a change was requested from.
  await db.schema.alterTable("outbox").addColumn("client_address", "text").execute();
}

/** Counts wrong codes over all codes and per hour, and keeps the counts of removed authenticators. */
async function addFailures(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable("otp_emails")
    .addColumn("failures", "integer", (c) => c.notNull().defaultTo(0))
    .execute();
  await db.schema
    .alterTable("otp_emails")
    .addColumn("failure_times", "text", (c) => c.notNull().defaultTo("[]"))
    .execute();
  await db.schema
    .createTable("removed_otp_emails")
    .addColumn("digest", "text", (c) => c.primaryKey().notNull())
    .addColumn("failures", "integer", (c) => c.notNull())
    .addColumn("failure_times", "text", (c) => c.notNull())
    .addColumn("lock_count", "integer", (c) => c.notNull())
    .addColumn("locked_until", "integer")
    .addColumn("expire_time", "integer", (c) => c.notNull())
    .execute();
  await indexExpiry(db, "removed_otp_emails");
}

async function createHits(db: Kysely<unknown>): Promise<void> {
  // The primary key has the order in which the hits of a limit are read, backwards from the newest.
  await db.schema
    .createTable("hits")
    .addColumn("digest", "text", (c) => c.notNull())
    .addColumn("time", "integer", (c) => c.notNull())
    .addColumn("count", "integer", (c) => c.notNull())
    .addColumn("expire_time", "integer", (c) => c.notNull())
    .addPrimaryKeyConstraint("hits_pk", ["digest", "time"])
    .execute();
  await indexExpiry(db, "hits");
}

async function createRetryKeys(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("idempotency_keys")
    .addColumn("digest", "text", (c) => c.primaryKey().notNull())
    .addColumn("request_digest", "text", (c) => c.notNull())
    .addColumn("reply", "text", (c) => c.notNull())
    .addColumn("expire_time", "integer", (c) => c.notNull())
    .execute();
  await indexExpiry(db, "idempotency_keys");
}

/** For the sweeper, which selects expired rows among many that are not. */
async function indexExpiry(db: Kysely<unknown>, table: string): Promise<void> {
  await db.schema.createIndex(`${table}_expired`).on(table).column("expire_time").execute();
}
