import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await createSuppressions(db);
  await addDelivery(db);

  await db.schema.alterTable("outbox").addColumn("bounce_time", "integer").execute();
  // A bounce may name a mail by its Message-ID only.
  await db.schema.createIndex("outbox_by_message_id").on("outbox").column("message_id").execute();
  // Failed mails are few among all that were sent.
  await db.schema
    .createIndex("outbox_failed")
    .on("outbox")
    .column("mail_id")
    .where(sql.ref("state"), "=", "failed")
    .execute();
}

async function createSuppressions(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("suppressions")
    .addColumn("digest", "text", (c) => c.primaryKey().notNull())
    .addColumn("otp_email_id", "integer", (c) => c.references("otp_emails.otp_email_id").onDelete("set null"))
    .addColumn("status", "text", (c) => c.notNull())
    .addColumn("source", "text", (c) => c.notNull())
    .addColumn("count", "integer", (c) => c.notNull())
    .addColumn("create_time", "integer", (c) => c.notNull())
    .addColumn("suppressed_until", "integer", (c) => c.notNull())
    .addColumn("expire_time", "integer", (c) => c.notNull())
    .execute();
  await db.schema.createIndex("suppressions_expired").on("suppressions").column("expire_time").execute();
  // For the foreign key, when an authenticator is removed.
  await db.schema
    .createIndex("suppressions_of_otp_email")
    .on("suppressions")
    .column("otp_email_id")
    .execute();
}

/** Keeps the outcome of the mail of a challenge, as 0002 did for authenticators. */
async function addDelivery(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable("challenges").addColumn("mail_id", "integer").execute();
  await db.schema.alterTable("challenges").addColumn("mail_state", "text").execute();
  await db.schema.alterTable("challenges").addColumn("mail_create_time", "integer").execute();
  await db.schema.alterTable("challenges").addColumn("mail_settle_time", "integer").execute();
  await db.schema.alterTable("challenges").addColumn("mail_reason", "text").execute();
}
