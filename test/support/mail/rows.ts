import type { NewOutboxRow, OutboxRow } from "../../../src/db/core/schema.ts";
import type { Store } from "../../../src/db/store.ts";

export { openTestStore } from "../db/database.ts";

/** Adds the user `u` with the authenticators 1 to `count`, of the addresses `a1@x.io` and so on. */
export async function addAuthenticators(store: Store, now: number, count: number): Promise<void> {
  await store.write(async (trx) => {
    const times = { create_time: now, change_time: now };
    await trx
      .insertInto("users")
      .values({ user_id: "u", org_id: "o", state: "active", sequence: 0, ...times })
      .execute();
    for (let id = 1; id <= count; id++) {
      await trx
        .insertInto("otp_emails")
        .values({
          otp_email_id: `${id}`,
          user_id: "u",
          address: `a${id}@x.io`,
          address_canonical: `a${id}@x.io`,
          attempts: 0,
          lock_count: 0,
          ...times,
        })
        .execute();
    }
  });
}

let lastMailId = 163_840_776_835_432_705n;

/** A mail to authenticator 1 that is due now and expires in ten minutes. */
export function newRow(now: number, overrides: Partial<NewOutboxRow> = {}): NewOutboxRow {
  const mailId = `${lastMailId++}`;
  return {
    mail_id: mailId,
    purpose: "enrolment",
    user_id: "u",
    otp_email_id: "1",
    code_salt: new Uint8Array(16).fill(1),
    url_template: null,
    message_id: `<${mailId}@id.example>`,
    state: "queued",
    attempts: 0,
    next_attempt_time: now,
    lease_id: null,
    lease_until: null,
    expire_time: now + 600_000,
    create_time: now,
    settle_time: null,
    reason: null,
    ...overrides,
  };
}

export async function insertRows(store: Store, rows: NewOutboxRow[]): Promise<void> {
  await store.write(async (trx) => {
    // SQLite takes a bounded number of parameters in one statement.
    for (let i = 0; i < rows.length; i += 500) {
      await trx
        .insertInto("outbox")
        .values(rows.slice(i, i + 500))
        .execute();
    }
  });
}

/** The rows of the outbox, oldest first. */
export function allRows(store: Store): Promise<OutboxRow[]> {
  return store.db.selectFrom("outbox").selectAll().orderBy("mail_id").execute();
}

export async function onlyRow(store: Store): Promise<OutboxRow> {
  const [row, ...others] = await allRows(store);
  if (!row || others.length > 0) throw new Error(`one row was expected, there are ${others.length + 1}`);
  return row;
}
