import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Database from "better-sqlite3";
import { expect } from "vitest";
import { type Running, runCommand, startCommand } from "../process/process.ts";

/** Settings of a server whose limits are no matter here. */
export function loadSettings(dataDir: string): Record<string, string> {
  return {
    COUNTERSIGN_DATA_DIR: dataDir,
    COUNTERSIGN_CLIENT_MAILS_PER_HOUR_MAX: "100000000",
    COUNTERSIGN_ALL_MAILS_PER_HOUR_MAX: "100000000",
    COUNTERSIGN_LOG_LEVEL: "warn",
  };
}

export const databaseOf = (dataDir: string) => join(dataDir, "countersign.db");

export interface Reply {
  readonly status: number;
  readonly body: {
    readonly otpEmailId?: string;
    readonly verificationCode?: string;
    readonly message?: string;
    readonly details?: readonly { readonly reason?: string; readonly retryDelay?: string }[];
  };
}

/** Calls over REST. Rejects if no reply comes. */
export type Call = (method: string, path: string, body?: object) => Promise<Reply>;

/** What was asked for one authenticator, and what of it was acknowledged. */
interface Entry {
  readonly userId: string;
  readonly otpEmailId: string;
  readonly isMailed: boolean;
  code: string;
  wrongTold: number;
  verifyTold: boolean;
  removeAsked: boolean;
  removeTold: boolean;
}

const workers = 16;

/** The token of a caller that may do everything to the data of the folder. */
export async function adminToken(dataDir: string): Promise<string> {
  const args = ["token", "--subject", "admin", "--permission", "user.write"];
  return (await runCommand(args, loadSettings(dataDir))).stdout.trim();
}

export function callerOf(origin: string, token: string): Call {
  return async (method, path, body) => {
    const reply = await fetch(`${origin}/v3alpha${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: body ? JSON.stringify(body) : null,
    });
    return { status: reply.status, body: (await reply.json()) as Reply["body"] };
  };
}

/** A load of all that writes, and the log of what was acknowledged: what a database must hold, whatever has befallen it. */
export class StorageLoad {
  readonly #entries: Entry[] = [];
  readonly token: string;
  #made = 0;
  #stopped = false;
  #running: Promise<unknown> = Promise.resolve();
  /** Acknowledged calls, and replies by their reason. */
  acknowledged = 0;
  readonly refused: Reply[] = [];

  constructor(token: string) {
    this.token = token;
  }

  /** Creates the users that the rest needs. */
  async prepare({ origin }: Running): Promise<void> {
    const call = callerOf(origin, this.token);
    for (let i = 0; i < workers; i++) {
      const { status } = await call("POST", "/users", { userId: `u${i}`, organization: { orgId: "o" } });
      expect(status).toBe(200);
    }
  }

  /** Calls the server, until `stop` or the server is gone. */
  start({ origin }: Running): void {
    this.#stopped = false;
    const call = callerOf(origin, this.token);
    this.#running = Promise.all(Array.from({ length: workers }, (_, i) => this.#work(call, `u${i}`)));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #work(call: Call, userId: string): Promise<void> {
    const ask = async (method: string, path: string, body?: object): Promise<Reply> => {
      const reply = await call(method, path, body);
      if (reply.status === 503 || reply.status >= 500) {
        this.refused.push(reply);
        await sleep(20);
      } else this.acknowledged++;
      return reply;
    };
    try {
      while (!this.#stopped) await this.#live(ask, userId);
    } catch {
      // The server is gone, and nobody knows what became of the last call.
    }
  }

  /** The life of one authenticator. */
  async #live(call: Call, userId: string): Promise<void> {
    const number = this.#made++;
    const isMailed = number % 4 === 0;
    const email = { address: `a${number}@x.io`, ...(isMailed ? { sendCode: {} } : { returnCode: {} }) };
    const added = await call("POST", `/users/${userId}/otp_email`, { email });
    if (added.status !== 200) return;
    const { otpEmailId = "", verificationCode: code = "" } = added.body;
    const untold = { wrongTold: 0, verifyTold: false, removeAsked: false, removeTold: false };
    const entry: Entry = { userId, otpEmailId, isMailed, code, ...untold };
    this.#entries.push(entry);
    const path = `/users/${userId}/otp_email/${otpEmailId}`;
    if (!isMailed) {
      const wrong = await call("POST", `${path}/verify`, { code: "00000000" });
      // One that has expired by then is refused without being compared.
      if (wrong.body.details?.[0]?.reason === "CODE_INVALID") entry.wrongTold++;
      const verified = await call("POST", `${path}/verify`, { code });
      if (verified.status === 200) entry.verifyTold = true;
    }
    if (number % 8 === 1) return;
    entry.removeAsked = true;
    if ((await call("DELETE", path)).status === 200) entry.removeTold = true;
  }

  /** So that users do not come to have too many. */
  async removeAll({ origin }: Running): Promise<void> {
    const call = callerOf(origin, this.token);
    for (const entry of this.#entries.splice(0)) {
      if (entry.removeTold) continue;
      await call("DELETE", `/users/${entry.userId}/otp_email/${entry.otpEmailId}`);
    }
    // Those whose adding nobody was told of.
    for (let i = 0; i < workers; i++) {
      const { body } = await call("GET", `/users/u${i}/otp_email`);
      const { otpEmails = [] } = body as { otpEmails?: { otpEmailId: string }[] };
      for (const { otpEmailId } of otpEmails) await call("DELETE", `/users/u${i}/otp_email/${otpEmailId}`);
    }
  }

  /** A code that has verified once does so never again, a removed authenticator is gone (I2). */
  async checkReplies({ origin }: Running, most: number): Promise<void> {
    const call = callerOf(origin, this.token);
    const verified = this.#entries.filter((entry) => entry.verifyTold && !entry.removeAsked);
    for (const { userId, otpEmailId, code } of verified.slice(-most)) {
      const { status, body } = await call("POST", `/users/${userId}/otp_email/${otpEmailId}/verify`, {
        code,
      });
      expect(status).toBe(400);
      expect(body.details?.[0]?.reason).toMatch(/^(CODE_USED|OTP_EMAIL_ALREADY_VERIFIED)$/);
    }
  }

  /** Compares a database with what was acknowledged (I1, I3), and its rows with each other. */
  checkDatabase(path: string): void {
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
      for (const entry of this.#entries) {
        const row = read.get(BigInt(entry.otpEmailId), entry.userId) as { verify_time: number } | undefined;
        if (entry.removeTold) expect(row, "removed").toBeUndefined();
        if (entry.removeAsked) continue;
        expect(row, "added").toBeDefined();
        if (entry.verifyTold) expect(row?.verify_time, "verified").not.toBeNull();
        if (entry.wrongTold > 0)
          expect(failed.get(entry.userId, entry.otpEmailId), "counted").toBeGreaterThanOrEqual(
            entry.wrongTold,
          );
      }
      for (const [what, query] of Object.entries(halves))
        expect(database.prepare(query).all(), what).toEqual([]);
    } finally {
      database.close();
    }
  }
}

/** Rows that one transaction writes together, and of which some would be there without the others. */
const halves = {
  "an event that its user does not count": `select user_id from users
    where sequence <> (select count(*) from events where events.user_id = users.user_id)`,
  "an event without a link to the one before it": `select position from (
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
  "the event of an authenticator that was neither kept nor removed": `select data from events as added
    where type = 'otp_email.added'
      and not exists (select 1 from otp_emails where cast(otp_email_id as text) = added.data ->> 'otp_email_id')
      and not exists (select 1 from events as removed where removed.user_id = added.user_id
        and removed.type = 'otp_email.removed' and removed.data ->> 'otp_email_id' = added.data ->> 'otp_email_id')`,
  "a waiting mail without its authenticator": `select mail_id from outbox where state = 'queued'
    and not exists (select 1 from otp_emails where otp_emails.otp_email_id = outbox.otp_email_id)`,
  "an authenticator with a code to mail, but no mail": `select otp_email_id from otp_emails where mail_state is null
    and verify_time is null and code_salt is not null and address_canonical like 'a%@x.io'
    and cast(substr(address_canonical, 2) as integer) % 4 = 0
    and not exists (select 1 from outbox where outbox.otp_email_id = otp_emails.otp_email_id)`,
};

/** Starts a server on the folder, whose log goes to `stderr()`. */
export function startLoaded(dataDir: string, environment: Record<string, string> = {}): Promise<Running> {
  // The line that says where it listens is of the level info.
  return startCommand(["dev"], { ...loadSettings(dataDir), COUNTERSIGN_LOG_LEVEL: "info", ...environment });
}
