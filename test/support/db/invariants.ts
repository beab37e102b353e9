import Database from "better-sqlite3";
import { expect } from "vitest";

/** An authenticator whose addition was acknowledged, and the calls about it that were acknowledged since. */
export interface Acknowledged {
  readonly userId: string;
  readonly otpEmailId: string;
  readonly code: string;
  wrongCodes: number;
  isVerified: boolean;
  /** Whether its removal was requested. Unless that was acknowledged, its row may or may not exist. */
  isRemovalSent: boolean;
  isRemoved: boolean;
}

/** Checks that a SQLite database is intact, holds the acknowledged writes (I1, I3) and no part of a transaction. */
export function checkDatabase(path: string, entries: readonly Acknowledged[]): void {
  const database = new Database(path, { readonly: true });
  try {
    expect(database.pragma("integrity_check", { simple: true })).toBe("ok");
    const read = database.prepare(
      "select verify_time, failures + attempts as wrong from otp_emails where otp_email_id = ? and user_id = ?",
    );
    const failed = database
      .prepare(
        `select count(*) from events where user_id = ? and type = 'otp_email.verify_failed'
          and data ->> 'otp_email_id' = ?`,
      )
      .pluck();
    for (const { userId, otpEmailId, wrongCodes, isVerified, isRemovalSent, isRemoved } of entries) {
      const row = read.get(BigInt(otpEmailId), userId) as { verify_time: number } | undefined;
      if (isRemoved) expect(row, "removed").toBeUndefined();
      if (isRemovalSent) continue;
      expect(row, "added").toBeDefined();
      if (isVerified) expect(row?.verify_time, "verified").not.toBeNull();
      if (wrongCodes > 0)
        expect(failed.get(userId, otpEmailId), "counted").toBeGreaterThanOrEqual(wrongCodes);
    }
    for (const [what, query] of Object.entries(partialTransactions))
      expect(database.prepare(query).all(), what).toEqual([]);
  } finally {
    database.close();
  }
}

/** Queries for rows without the others that the same transaction writes. */
const partialTransactions = {
  "a user whose sequence isn't the number of its events": `select user_id from users
    where sequence <> (select count(*) from events where events.user_id = users.user_id)`,
  "an event without a link to the previous one": `select position from (
      select position, previous, lag(position) over (partition by org_id, user_id order by sequence) as earlier from events
    ) where previous is not earlier`,
  "a user without a link to its last event": `select user_id from users
    where last_event is not (select max(position) from events where events.user_id = users.user_id)`,
  "an authenticator without its event": `select otp_email_id from otp_emails where not exists (select 1 from events
    where events.user_id = otp_emails.user_id and type = 'otp_email.added'
      and data ->> 'otp_email_id' = cast(otp_emails.otp_email_id as text))`,
  "a verified authenticator without its event": `select otp_email_id from otp_emails where verify_time is not null
    and not exists (select 1 from events where events.user_id = otp_emails.user_id and type = 'otp_email.verified'
      and data ->> 'otp_email_id' = cast(otp_emails.otp_email_id as text))`,
  "an authenticator that is gone without an event of its removal": `select data from events as added
    where type = 'otp_email.added'
      and not exists (select 1 from otp_emails where cast(otp_email_id as text) = added.data ->> 'otp_email_id')
      and not exists (select 1 from events as removed where removed.user_id = added.user_id
        and removed.type = 'otp_email.removed' and removed.data ->> 'otp_email_id' = added.data ->> 'otp_email_id')`,
  "a waiting mail without its authenticator": `select mail_id from outbox where state = 'queued'
    and not exists (select 1 from otp_emails where otp_emails.otp_email_id = outbox.otp_email_id)`,
  "an authenticator with a code to mail but without a mail": `select otp_email_id from otp_emails where mail_state is null
    and verify_time is null and code_salt is not null and address_canonical like 'a%@x.io'
    and cast(substr(address_canonical, 2) as integer) % 4 = 0
    and not exists (select 1 from outbox where outbox.otp_email_id = otp_emails.otp_email_id)`,
};
