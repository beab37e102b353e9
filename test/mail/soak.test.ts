import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Database from "better-sqlite3";
import { simpleParser } from "mailparser";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../support/folder.ts";
import type { Running } from "../support/process.ts";
import { rounds } from "../support/soak.ts";
import { adminToken, databaseOf, startLoaded } from "../support/storage-load.ts";
import { type Copy, startHostileRelay } from "./hostile-relay.ts";

/** The same faults for the same seed, up to the order in which connections come. */
const seed = Number(process.env.COUNTERSIGN_SEED ?? rounds(20_261_123, Date.now() % 2 ** 31));
const mailCount = rounds(40, 10_000);
/** A mail that was under way when the service was killed waits for the end of its lease, 100 s: kills are for the soak. */
const killEvery = rounds(Number.POSITIVE_INFINITY, 400);
const restEvery = rounds(40, 1_500);
const codeTtlMs = 300_000;
const addressesAUser = 5;
const workers = 16;

/** mulberry32. */
function randomOf(state: number): () => number {
  let a = state;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** An authenticator whose mail was acknowledged. */
interface Acknowledged {
  readonly userId: string;
  readonly otpEmailId: string;
  readonly to: string;
  /** When its code was there at the latest, in milliseconds since the epoch. */
  readonly time: number;
}

const numberOf = (to: string) => Number(/\d+/.exec(to)?.[0]);
const isRefused = (to: string) => numberOf(to) % 97 === 5;

describe("mails on their way through faults and kills", () => {
  it(`${mailCount} mails from the seed ${seed} on: none is lost while its code lives, none comes after, none goes astray`, {
    timeout: 3_600_000,
  }, async () => {
    const random = randomOf(seed);
    const relay = await startHostileRelay({ random, faultRate: 0.03, refuses: isRefused });
    const dataDir = join(temporaryFolder(), "data");
    const token = await adminToken(dataDir);
    const settings = { COUNTERSIGN_SMTP_URL: relay.url, COUNTERSIGN_CODE_TTL: `${codeTtlMs / 1_000}s` };
    let logs = "";
    let server = await startLoaded(dataDir, settings);
    const killTimes: number[] = [];

    async function kill(): Promise<void> {
      const dead: Running = server;
      killTimes.push(Date.now());
      dead.child.kill("SIGKILL");
      logs += (await dead.finished()).stderr;
      server = await startLoaded(dataDir, settings);
    }

    /** Tries until there is a reply: a kill leaves callers without one, and the key makes a repetition harmless. */
    async function call(path: string, body: object, key: string): Promise<{ otpEmailId?: string }> {
      for (;;) {
        try {
          const reply = await fetch(`${server.origin}/v3alpha${path}`, {
            method: "POST",
            headers: {
              authorization: `Bearer ${token}`,
              "content-type": "application/json",
              "idempotency-key": key,
            },
            body: JSON.stringify(body),
          });
          const json = (await reply.json()) as { otpEmailId?: string };
          expect(reply.status, JSON.stringify(json)).toBe(200);
          return json;
        } catch (error) {
          if (!(error instanceof TypeError)) throw error;
          await sleep(50);
        }
      }
    }

    const acknowledged = new Map<string, Acknowledged>();
    let next = 0;
    let disturbing: Promise<void> = Promise.resolve();
    async function work(): Promise<void> {
      while (next < mailCount) {
        const i = next++;
        const userId = `u${Math.floor(i / addressesAUser)}`;
        await call("/users", { userId, organization: { orgId: "o" } }, `user-${userId}`);
        const to = `a${i}@x.io`;
        const { otpEmailId = "" } = await call(
          `/users/${userId}/otp_email`,
          { email: { address: to, sendCode: {} } },
          `add-${i}`,
        );
        acknowledged.set(otpEmailId, { userId, otpEmailId, to, time: Date.now() });
        if (i % killEvery === killEvery - 1) disturbing = disturbing.then(() => kill());
        if (i % restEvery === restEvery - 1) disturbing = disturbing.then(() => relay.rest(1_500));
      }
    }
    await Promise.all(Array.from({ length: workers }, work));
    await disturbing;
    expect(acknowledged.size).toBe(mailCount);

    const database = new Database(databaseOf(dataDir), { readonly: true });
    const waiting = database.prepare("select count(*) from outbox where state = 'queued'").pluck();
    await expect.poll(() => waiting.get(), { timeout: codeTtlMs + 150_000, interval: 500 }).toBe(0);
    const states = database
      .prepare(
        "select otp_email_id, mail_state, mail_reason, mail_settle_time, code_expire_time from otp_emails",
      )
      .safeIntegers()
      .all() as {
      otp_email_id: bigint;
      mail_state: string;
      mail_reason: string | null;
      mail_settle_time: bigint;
      code_expire_time: bigint;
    }[];
    database.close();

    const copies = await Promise.all(relay.copies.map(read));
    const byAddress = new Map<string, typeof copies>();
    for (const copy of copies) byAddress.set(copy.to, [...(byAddress.get(copy.to) ?? []), copy]);
    let expired = 0;
    for (const { otp_email_id, mail_state, mail_settle_time, code_expire_time } of states) {
      const { to } = acknowledged.get(String(otp_email_id))!;
      const mine = byAddress.get(to) ?? [];
      byAddress.delete(to);
      if (isRefused(to)) {
        expect([mail_state, mine.length], to).toEqual(["failed", 0]);
        continue;
      }
      for (const copy of mine) {
        expect(copy.time, `a mail to ${to} after the end of its code`).toBeLessThan(Number(code_expire_time));
        expect(copy, `another copy to ${to}`).toMatchObject(same(mine[0]!));
        expect(copy.header).toBe(to);
      }
      if (mail_state === "sent") {
        expect(
          mine.some(({ isTold }) => isTold),
          `a mail to ${to} that was sent`,
        ).toBe(true);
      } else {
        // Given up, because the next attempt would have come too late.
        expired++;
        expect(mail_state).toBe("failed");
        expect(
          Number(code_expire_time - mail_settle_time),
          `a mail to ${to} was given up`,
        ).toBeLessThanOrEqual(265_000);
        // Or the service was killed before it could write that it was sent.
        if (killTimes.length === 0) expect(mine.every(({ isTold }) => !isTold)).toBe(true);
      }
      for (const [before, copy] of mine.slice(1).map((copy, n) => [mine[n]!, copy] as const)) {
        const isExcused =
          !before.isTold ||
          [...killTimes, ...relay.restTimes].some((time) => time >= before.time - 1_000 && time <= copy.time);
        expect(isExcused, `a second copy to ${to}, without a kill and without a reset behind the dot`).toBe(
          true,
        );
      }
    }
    expect([...byAddress.keys()], "recipients that nobody asked for").toEqual([]);
    expect(expired).toBeLessThanOrEqual(mailCount / 100);

    // The codes are right, as far as they still live.
    const alive = [...acknowledged.values()].filter(
      ({ to, time }) => !isRefused(to) && time + codeTtlMs - 20_000 > Date.now(),
    );
    let verified = 0;
    for (const { userId, otpEmailId, to } of alive.slice(-100)) {
      const code = copies.find((copy) => copy.to === to && copy.isTold)?.code;
      if (!code) continue;
      await call(`/users/${userId}/otp_email/${otpEmailId}/verify`, { code }, `verify-${to}`);
      verified++;
    }
    expect(verified).toBeGreaterThan(0);
    logs += server.stderr();
    for (const { code } of copies) expect(logs.includes(code), "a code in the log").toBe(false);
    const duplicates = copies.length - new Set(copies.map(({ messageId }) => messageId)).size;
    console.log(
      `${mailCount} mails from the seed ${seed} on: ${killTimes.length} kills, ${copies.length} copies, ` +
        `${duplicates} of them again, ${expired} given up, faults: ${JSON.stringify(Object.fromEntries(relay.faults))}`,
    );
  });
});

/** What all copies of a mail have in common. */
const same = ({ messageId, date, code }: Awaited<ReturnType<typeof read>>) => ({ messageId, date, code });

async function read({ to, raw, time, isTold }: Copy) {
  const { text = "", messageId = "", date, to: header } = await simpleParser(Buffer.from(raw, "latin1"));
  const code = /^[0-9A-HJKMNP-TV-Z]{8}$/m.exec(text)?.[0] ?? "(none)";
  const address = Array.isArray(header) ? undefined : header?.text;
  return { to, time, isTold, messageId, date: date?.getTime(), code, header: address };
}
