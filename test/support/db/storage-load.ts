import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { type Running, runCommand, startCommand } from "../process/process.ts";
import { type Acknowledged, checkDatabase } from "./invariants.ts";

/** Settings of a server whose mail limits are out of the way. */
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

/** Calls over REST. Rejects if there is no reply. */
export type Call = (method: string, path: string, body?: object) => Promise<Reply>;

/** How many workers call the server at once. Each has a user of its own. */
const workers = 16;

const userIds = Array.from({ length: workers }, (_, i) => `u${i}`);

/** A token with all permissions on the data of the folder. */
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

/** Starts a server on the folder, whose log is `stderr()`. */
export function startLoaded(dataDir: string, environment: Record<string, string> = {}): Promise<Running> {
  // At the level info the server logs where it listens.
  return startCommand(["dev"], { ...loadSettings(dataDir), COUNTERSIGN_LOG_LEVEL: "info", ...environment });
}

/** A load of all kinds of writes, with a record of those that were acknowledged: the database has to hold them, come what may. */
export class StorageLoad {
  readonly #entries: Acknowledged[] = [];
  readonly token: string;
  #created = 0;
  #stopped = false;
  #running: Promise<unknown> = Promise.resolve();
  /** How many calls were answered without an error of the server. */
  acknowledged = 0;
  /** The replies with an error of the server. */
  readonly refused: Reply[] = [];

  constructor(token: string) {
    this.token = token;
  }

  /** Creates the users of the workers. */
  async prepare({ origin }: Running): Promise<void> {
    const call = callerOf(origin, this.token);
    const replies = await Promise.all(
      userIds.map((userId) => call("POST", "/users", { userId, organization: { orgId: "o" } })),
    );
    for (const { status } of replies) expect(status).toBe(200);
  }

  /** Calls the server until `stop`, or until the server is gone. */
  start({ origin }: Running): void {
    this.#stopped = false;
    const call = callerOf(origin, this.token);
    this.#running = Promise.all(userIds.map((userId) => this.#work(call, userId)));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #work(call: Call, userId: string): Promise<void> {
    const countedCall: Call = async (method, path, body) => {
      const reply = await call(method, path, body);
      if (reply.status >= 500) {
        this.refused.push(reply);
        await sleep(20);
      } else this.acknowledged++;
      return reply;
    };
    try {
      while (!this.#stopped) await this.#runLifecycle(countedCall, userId);
    } catch {
      // The server is gone. Whether the last call was done is unknown.
    }
  }

  /** Adds an authenticator, verifies it and removes it. */
  async #runLifecycle(call: Call, userId: string): Promise<void> {
    const number = this.#created++;
    const isMailed = number % 4 === 0;
    const email = { address: `a${number}@x.io`, ...(isMailed ? { sendCode: {} } : { returnCode: {} }) };
    const added = await call("POST", `/users/${userId}/otp_email`, { email });
    if (added.status !== 200) return;
    const { otpEmailId = "", verificationCode: code = "" } = added.body;
    const entry: Acknowledged = {
      userId,
      otpEmailId,
      code,
      wrongCodes: 0,
      isVerified: false,
      isRemovalSent: false,
      isRemoved: false,
    };
    this.#entries.push(entry);
    const path = `/users/${userId}/otp_email/${otpEmailId}`;
    if (!isMailed) {
      const wrong = await call("POST", `${path}/verify`, { code: "00000000" });
      // An expired code is refused without being compared.
      if (wrong.body.details?.[0]?.reason === "CODE_INVALID") entry.wrongCodes++;
      const verified = await call("POST", `${path}/verify`, { code });
      if (verified.status === 200) entry.isVerified = true;
    }
    if (number % 8 === 1) return;
    entry.isRemovalSent = true;
    if ((await call("DELETE", path)).status === 200) entry.isRemoved = true;
  }

  /** Removes all authenticators, so that no user reaches the limit. */
  async removeAll({ origin }: Running): Promise<void> {
    const call = callerOf(origin, this.token);
    this.#entries.splice(0);
    await Promise.all(
      userIds.map(async (userId) => {
        // Includes those whose addition wasn't acknowledged.
        const { body } = await call("GET", `/users/${userId}/otp_email`);
        const { otpEmails = [] } = body as { otpEmails?: { otpEmailId: string }[] };
        for (const { otpEmailId } of otpEmails)
          await call("DELETE", `/users/${userId}/otp_email/${otpEmailId}`);
      }),
    );
  }

  /** Checks that codes which have verified don't verify again (I2), for at most that many authenticators. */
  async checkReplies({ origin }: Running, limit: number): Promise<void> {
    const call = callerOf(origin, this.token);
    const verified = this.#entries.filter((entry) => entry.isVerified && !entry.isRemovalSent);
    for (const { userId, otpEmailId, code } of verified.slice(-limit)) {
      const { status, body } = await call("POST", `/users/${userId}/otp_email/${otpEmailId}/verify`, {
        code,
      });
      expect(status).toBe(400);
      expect(body.details?.[0]?.reason).toMatch(/^(CODE_USED|OTP_EMAIL_ALREADY_VERIFIED)$/);
    }
  }

  /** Checks a database against the acknowledged writes (I1, I3), and its rows against each other. */
  checkDatabase(path: string): void {
    checkDatabase(path, this.#entries);
  }
}
