import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable("otp_emails").addColumn("last_use_time", "integer").execute();
  await addDelivery(db);
  await numberEvents(db);

  // Users are listed by organization, and optionally by state.
  await db.schema.createIndex("users_of_org").on("users").columns(["org_id", "user_id"]).execute();
  await db.schema.createIndex("users_by_state").on("users").columns(["org_id", "state", "user_id"]).execute();
  // Users are listed by address, too. The unique constraint begins with the user and doesn't help there.
  await db.schema.createIndex("otp_emails_by_address").on("otp_emails").column("address_canonical").execute();
}

/** Keeps the outcome of the last mail, so that its outbox row doesn't have to be kept for that. */
async function addDelivery(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable("otp_emails").addColumn("mail_id", "integer").execute();
  await db.schema.alterTable("otp_emails").addColumn("mail_state", "text").execute();
  await db.schema.alterTable("otp_emails").addColumn("mail_create_time", "integer").execute();
  await db.schema.alterTable("otp_emails").addColumn("mail_settle_time", "integer").execute();
  await db.schema.alterTable("otp_emails").addColumn("mail_reason", "text").execute();
}

/**
 * Gives every event a position in the audit log, and its organization, client and reason. SQLite cannot add a primary key to a
 * table, so the table is recreated.
 */
async function numberEvents(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("events_of_all")
    // Autoincrement: no position is reused, even if the newest events were removed, because watchers resume by position.
    .addColumn("position", "integer", (c) => c.primaryKey().autoIncrement().notNull())
    .addColumn("org_id", "text", (c) => c.notNull())
    .addColumn("user_id", "text", (c) => c.notNull())
    .addColumn("sequence", "integer", (c) => c.notNull())
    .addColumn("type", "text", (c) => c.notNull())
    .addColumn("time", "integer", (c) => c.notNull())
    .addColumn("actor", "text", (c) => c.notNull())
    .addColumn("client_address", "text")
    .addColumn("reason", "text")
    .addColumn("data", "text", (c) => c.notNull())
    // With the organization: another organization may reuse the id of a deleted user.
    .addUniqueConstraint("events_of_user", ["org_id", "user_id", "sequence"])
    .execute();
  // Before this migration users couldn't be deleted: every event has its user.
  await sql`
    insert into events_of_all (org_id, user_id, sequence, type, time, actor, data)
    select users.org_id, events.user_id, events.sequence, events.type, events.time, events.actor, events.data
    from events join users on users.user_id = events.user_id
    order by events.time, events.user_id, events.sequence
  `.execute(db);
  await db.schema.dropTable("events").execute();
  await db.schema.alterTable("events_of_all").renameTo("events").execute();
}
