import { sql } from "kysely";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { OTPEmailRow } from "../../db/core/schema.ts";
import type { clearedFailures } from "../limits/failures.ts";

export interface NewOTPEmail extends NewRow {
  /** How many authenticators the user may have. */
  readonly limit: number;
}

type NewRow = Pick<
  OTPEmailRow,
  | "otp_email_id"
  | "user_id"
  | "address"
  | "address_canonical"
  | "verify_time"
  | "code_key_id"
  | "code_salt"
  | "code_expire_time"
  | keyof typeof clearedFailures
  | "create_time"
  | "change_time"
>;

/**
 * Inserts an authenticator and returns how many other verified addresses the user has, or no row if the user has this address
 * already or has reached the limit. Counting and inserting in one statement is exact under the lock of the user.
 */
export const insertWithinLimit = prepare((db, param: Param<NewOTPEmail>) => ({
  compile: () =>
    sql<{ others: number }>`
      insert into otp_emails (
        otp_email_id, user_id, address, address_canonical, verify_time, code_key_id, code_salt, code_expire_time,
        create_time, change_time, attempts, failures, failure_times, lock_count, locked_until
      )
      select
        ${param("otp_email_id")}, ${param("user_id")}, ${param("address")}, ${param("address_canonical")},
        ${param("verify_time")}, ${param("code_key_id")}, ${param("code_salt")}, ${param("code_expire_time")},
        ${param("create_time")}, ${param("change_time")}, ${param("attempts")}, ${param("failures")},
        ${param("failure_times")}, ${param("lock_count")}, ${param("locked_until")}
      where (select count(*) from otp_emails where user_id = ${param("user_id")}) < ${param("limit")}
      on conflict (user_id, address_canonical) do nothing
      returning (
        select count(other.verify_time) from otp_emails as other
        where other.user_id = ${param("user_id")} and other.otp_email_id <> ${param("otp_email_id")}
      ) as others`.compile(db),
}));
