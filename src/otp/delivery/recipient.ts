import type { Kysely } from "kysely";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { DB, OTPEmailRow, UserRow } from "../../db/core/schema.ts";

/** An authenticator that a mail is sent to, with the data of its user. */
export type Recipient = OTPEmailRow &
  Pick<UserRow, "org_id" | "state" | "display_name" | "preferred_language">;

export async function findRecipient(db: Kysely<DB>, otpEmailId: string): Promise<Recipient | undefined> {
  const [row] = await selectRecipient(db, { otpEmailId });
  return row;
}

const selectRecipient = prepare((db, param: Param<{ otpEmailId: string }>) =>
  db
    .selectFrom("otp_emails")
    .innerJoin("users", "users.user_id", "otp_emails.user_id")
    .selectAll("otp_emails")
    .select(["users.org_id", "users.state", "users.display_name", "users.preferred_language"])
    .where("otp_email_id", "=", param("otpEmailId")),
);
