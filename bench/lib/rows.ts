import { hash, randomBytes } from "node:crypto";
import Database from "better-sqlite3";
import { makeId } from "../../src/db/core/id.ts";

/** The message of AddOTPEmail in Connect JSON. */
export interface Addition {
  readonly userId: string;
  readonly email: { readonly address: string; readonly sendCode?: object };
}

/** The message of VerifyOTPEmail in Connect JSON. */
export interface Verification {
  readonly userId: string;
  readonly otpEmailId: string;
  readonly code: string;
}

/** The columns of a user that its next event needs. */
interface EventSlot {
  readonly sequence: number;
  readonly org_id: string;
  readonly last_event: number;
  readonly previous_event: number | null;
}

const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const hourMs = 3_600_000;

/**
 * Opens a database of the service with better-sqlite3 alone and the service's durability. `add` and `verify` write the rows that
 * the service writes for the same call, without any checks, and have to be called in a transaction.
 */
export function openRows(path: string) {
  const database = new Database(path);
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = FULL");
  database.pragma("foreign_keys = ON");
  database.pragma("cache_size = -16384");
  const selectUser = database.prepare("select * from users where user_id = ?");
  const insertOTPEmail = database.prepare(
    `insert into otp_emails (otp_email_id, user_id, address, address_canonical, code_key_id, code_salt, code_expire_time,
       attempts, failures, failure_times, lock_count, create_time, change_time)
     values (?, ?, ?, ?, 'bench', ?, ?, 0, 0, '[]', 0, ?, ?)`,
  );
  const reserveEvent = database.prepare(
    `update users set sequence = sequence + 1, previous_event = last_event,
       last_event = coalesce((select seq from sqlite_sequence where name = 'events'), 0) + 1, change_time = ?
     where user_id = ? returning sequence, org_id, last_event, previous_event`,
  );
  const insertEvent = database.prepare(
    `insert into events (position, previous, org_id, user_id, sequence, type, time, actor, client_address, data)
     values (?, ?, ?, ?, ?, ?, ?, 'bench', '127.0.0.1', ?)`,
  );
  const insertMail = database.prepare(
    `insert into outbox (mail_id, purpose, user_id, otp_email_id, code_salt, message_id, state, attempts,
       next_attempt_time, expire_time, create_time)
     values (?, 'enrolment', ?, ?, ?, ?, 'queued', 0, ?, ?, ?)`,
  );
  const consume = database.prepare(
    `insert into hits (digest, time, count, expire_time) values (?, ?, 1, ?)
     on conflict (digest, time) do update set count = count + 1`,
  );
  const useCode = database.prepare(
    `update otp_emails set verify_time = ?, last_use_time = ?, code_key_id = null, code_salt = null,
       code_expire_time = null, attempts = 0, change_time = ? where otp_email_id = ?`,
  );

  function appendEvent(userId: string, type: string, now: number, data: object) {
    const user = reserveEvent.get(now, userId) as EventSlot;
    insertEvent.run(
      user.last_event,
      user.previous_event,
      user.org_id,
      userId,
      user.sequence,
      type,
      now,
      JSON.stringify(data),
    );
    return {
      sequence: String(user.sequence),
      changeDate: new Date(now).toISOString(),
      resourceOwner: user.org_id,
    };
  }

  function mail(userId: string, address: string, id: bigint, salt: Buffer, now: number): void {
    const slot = now - (now % 60_000);
    consume.run(digest(`otp_email ${userId} ${address}`), now, now + 24 * hourMs);
    consume.run(digest(`address ${address}`), now, now + hourMs);
    consume.run(digest("all"), slot, slot + hourMs);
    consume.run(digest("client 127.0.0.1"), slot, slot + hourMs);
    const messageId = `<${now.toString(36)}.${randomBytes(16).toString("base64url")}@bench.example>`;
    insertMail.run(BigInt(makeId(now)), userId, id, salt, messageId, now, now + 600_000, now);
  }

  return {
    database,
    add({ userId, email: { address, sendCode } }: Addition) {
      const now = Date.now();
      selectUser.get(userId);
      const otpEmailId = makeId(now);
      const id = BigInt(otpEmailId);
      const salt = randomBytes(16);
      insertOTPEmail.run(id, userId, address, address, salt, now + 600_000, now, now);
      const verification = sendCode ? "send_code" : "return_code";
      const details = appendEvent(userId, "otp_email.added", now, {
        otp_email_id: otpEmailId,
        verification,
      });
      if (!sendCode) return { details, otpEmailId, verificationCode: codeOf(salt) };
      mail(userId, address, id, salt, now);
      return { details, otpEmailId };
    },
    verify({ userId, otpEmailId }: Verification) {
      const now = Date.now();
      selectUser.get(userId);
      useCode.run(now, now, now, BigInt(otpEmailId));
      const data = { otp_email_id: otpEmailId, verification: "code" };
      return { details: appendEvent(userId, "otp_email.verified", now, data) };
    },
  };
}

export type Rows = ReturnType<typeof openRows>;

function digest(text: string): string {
  return hash("sha256", text, "base64url");
}

/** Eight characters, as long as a code of the service. It is never checked. */
function codeOf(salt: Buffer): string {
  let code = "";
  for (let i = 0; i < 8; i++) code += alphabet[salt[i]! & 31];
  return code;
}
