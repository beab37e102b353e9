import { sql } from "kysely";
import { afterAll, onTestFinished } from "vitest";
import type { NewOutboxRow, OutboxRow } from "../../../src/db/core/schema.ts";
import { openStore, type Store } from "../../../src/db/store.ts";
import { databaseUrlOf, engine } from "../db/database.ts";
import { temporaryFolder } from "../folder.ts";

/**
 * Opens a database with an empty outbox and the authenticators 1 to `authenticators`.
 *
 * On PostgreSQL the tests of a file share a database, because creating one takes longer than most of them.
 */
export async function openMailStore(
  now: number,
  authenticators = 1,
): Promise<{ store: Store; databaseUrl: string }> {
  const databaseUrl = await (engine === "sqlite" ? databaseUrlOf(temporaryFolder()) : sharedDatabaseUrl());
  const store = openStore(databaseUrl);
  onTestFinished(() => store[Symbol.asyncDispose]());
  if (engine === "sqlite") await store.migrate();
  else await clear(store);
  await addAuthenticators(store, now, authenticators);
  return { store, databaseUrl };
}

let sharedFolder: string | undefined;
const endOfFile: (() => void | Promise<void>)[] = [];

afterAll(async () => {
  for (const end of endOfFile.reverse()) await end();
});

function sharedDatabaseUrl(): Promise<string> {
  const onEnd = (end: () => void | Promise<void>) => void endOfFile.push(end);
  sharedFolder ??= temporaryFolder(onEnd);
  return databaseUrlOf(sharedFolder, onEnd);
}

async function clear({ db }: Store): Promise<void> {
  // Not DELETE, which leaves the entries of thousands of rows in the indexes.
  await sql`truncate outbox, suppressions`.execute(db);
  await db.deleteFrom("otp_emails").execute();
  await db.deleteFrom("users").execute();
}

/** Adds the authenticators 1 to `count`, which have the addresses `a1@x.io` and so on, each to a user of its own. */
export async function addAuthenticators(store: Store, now: number, count: number): Promise<void> {
  const times = { create_time: now, change_time: now };
  const ids = Array.from({ length: count }, (_, i) => `${i + 1}`);
  await store.write(async (trx) => {
    await trx
      .insertInto("users")
      .values(ids.map((id) => ({ user_id: userOf(id), org_id: "o", state: "active", sequence: 0, ...times })))
      .execute();
    await trx
      .insertInto("otp_emails")
      .values(
        ids.map((id) => ({
          otp_email_id: id,
          user_id: userOf(id),
          address: `a${id}@x.io`,
          address_canonical: `a${id}@x.io`,
          attempts: 0,
          lock_count: 0,
          ...times,
        })),
      )
      .execute();
  });
}

/** The user of an authenticator. */
export const userOf = (otpEmailId: string) => `u${otpEmailId}`;

let lastMailId = 163_840_776_835_432_705n;

/** Returns a mail to authenticator 1 that is due at `now` and expires ten minutes later. */
export function newRow(now: number, overrides: Partial<NewOutboxRow> = {}): NewOutboxRow {
  const mailId = `${lastMailId++}`;
  const otpEmailId = overrides.otp_email_id ?? "1";
  return {
    mail_id: mailId,
    purpose: "enrolment",
    user_id: userOf(otpEmailId),
    otp_email_id: otpEmailId,
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
    // SQLite limits the number of parameters of a statement.
    for (let i = 0; i < rows.length; i += 500) {
      await trx
        .insertInto("outbox")
        .values(rows.slice(i, i + 500))
        .execute();
    }
  });
}

/** Reads the rows of the outbox, oldest first. */
export function allRows(store: Store): Promise<OutboxRow[]> {
  return store.db.selectFrom("outbox").selectAll().orderBy("mail_id").execute();
}

export async function onlyRow(store: Store): Promise<OutboxRow> {
  const [row, ...others] = await allRows(store);
  if (!row || others.length > 0) throw new Error(`expected one row, found ${others.length + 1}`);
  return row;
}
