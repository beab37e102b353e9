import type { Kysely } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("users")
    .addColumn("user_id", "text", (c) => c.primaryKey().notNull())
    .addColumn("org_id", "text", (c) => c.notNull())
    .addColumn("state", "text", (c) => c.notNull())
    .addColumn("preferred_language", "text")
    .addColumn("display_name", "text")
    .addColumn("sequence", "integer", (c) => c.notNull())
    .addColumn("create_time", "integer", (c) => c.notNull())
    .addColumn("change_time", "integer", (c) => c.notNull())
    .execute();

  // No foreign key: events outlive their user.
  await db.schema
    .createTable("events")
    .addColumn("user_id", "text", (c) => c.notNull())
    .addColumn("sequence", "integer", (c) => c.notNull())
    .addColumn("type", "text", (c) => c.notNull())
    .addColumn("time", "integer", (c) => c.notNull())
    .addColumn("actor", "text", (c) => c.notNull())
    .addColumn("data", "text", (c) => c.notNull())
    .addPrimaryKeyConstraint("events_pk", ["user_id", "sequence"])
    .execute();

  await db.schema
    .createTable("otp_emails")
    .addColumn("otp_email_id", "integer", (c) => c.primaryKey().notNull())
    .addColumn("user_id", "text", (c) => c.notNull().references("users.user_id").onDelete("cascade"))
    .addColumn("address", "text", (c) => c.notNull())
    .addColumn("address_canonical", "text", (c) => c.notNull())
    .addColumn("verify_time", "integer")
    .addColumn("code_key_id", "text")
    .addColumn("code_salt", "blob")
    .addColumn("code_expire_time", "integer")
    .addColumn("attempts", "integer", (c) => c.notNull())
    .addColumn("lock_count", "integer", (c) => c.notNull())
    .addColumn("locked_until", "integer")
    .addColumn("create_time", "integer", (c) => c.notNull())
    .addColumn("change_time", "integer", (c) => c.notNull())
    .addUniqueConstraint("otp_emails_of_user", ["user_id", "address_canonical"])
    .execute();

  await db.schema
    .createTable("outbox")
    .addColumn("mail_id", "integer", (c) => c.primaryKey().notNull())
    .addColumn("purpose", "text", (c) => c.notNull())
    .addColumn("user_id", "text", (c) => c.notNull())
    .addColumn("otp_email_id", "integer", (c) =>
      c.notNull().references("otp_emails.otp_email_id").onDelete("cascade"),
    )
    .addColumn("code_salt", "blob", (c) => c.notNull())
    .addColumn("url_template", "text")
    .addColumn("message_id", "text", (c) => c.notNull())
    .addColumn("state", "text", (c) => c.notNull())
    .addColumn("attempts", "integer", (c) => c.notNull())
    .addColumn("next_attempt_time", "integer", (c) => c.notNull())
    .addColumn("lease_id", "text")
    .addColumn("lease_until", "integer")
    .addColumn("expire_time", "integer", (c) => c.notNull())
    .addColumn("create_time", "integer", (c) => c.notNull())
    .addColumn("settle_time", "integer")
    .addColumn("reason", "text")
    .execute();

  // The courier selects what is due; the cascade from otp_emails selects the mails of one authenticator.
  await db.schema.createIndex("outbox_due").on("outbox").columns(["state", "next_attempt_time"]).execute();
  await db.schema.createIndex("outbox_of_otp_email").on("outbox").column("otp_email_id").execute();
}
