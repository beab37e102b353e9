import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("challenges")
    .addColumn("challenge_id", "integer", (c) => c.primaryKey().notNull())
    .addColumn("otp_email_id", "integer", (c) =>
      c.notNull().references("otp_emails.otp_email_id").onDelete("cascade"),
    )
    .addColumn("state", "text", (c) => c.notNull())
    .addColumn("audience", "text", (c) => c.notNull())
    .addColumn("nonce", "text")
    .addColumn("code_key_id", "text", (c) => c.notNull())
    .addColumn("code_salt", "blob", (c) => c.notNull())
    .addColumn("attempts", "integer", (c) => c.notNull())
    .addColumn("report_time", "integer")
    .addColumn("code_expire_time", "integer", (c) => c.notNull())
    .addColumn("create_time", "integer", (c) => c.notNull())
    .addColumn("expire_time", "integer", (c) => c.notNull())
    .execute();

  // At most one live challenge per authenticator, even with concurrent calls. The courier and the next challenge use this index.
  await db.schema
    .createIndex("challenges_pending")
    .unique()
    .on("challenges")
    .column("otp_email_id")
    .where(sql.ref("state"), "=", "pending")
    .execute();
  // The cascade from otp_emails selects the challenges of one authenticator, the sweeper those that have expired.
  await db.schema.createIndex("challenges_of_otp_email").on("challenges").column("otp_email_id").execute();
  await db.schema.createIndex("challenges_expiry").on("challenges").column("expire_time").execute();
}
