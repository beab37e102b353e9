import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Database from "better-sqlite3";
import { simpleParser } from "mailparser";
import { describe, expect, it } from "vitest";
import { adminToken, callerOf, databaseOf, startLoaded } from "../../support/db/storage-load.ts";
import { temporaryFolder } from "../../support/folder.ts";
import { type Copy, startHostileRelay } from "../../support/mail/hostile-relay.ts";
import type { Running } from "../../support/process/process.ts";
import { rounds } from "../../support/soak.ts";

/** Determines the faults, except for the order in which connections arrive. */
const seed = Number(process.env.COUNTERSIGN_SEED ?? rounds(20_261_123, Date.now() % 2 ** 31));
const mailCount = rounds(40, 10_000);
/** Kills are for the soak: a mail that is under way then waits 100 s for the end of its lease. */
const killEvery = rounds(Number.POSITIVE_INFINITY, 400);
const restEvery = rounds(40, 1_500);
const codeTtlMs = 300_000;
const mailIntervalMs = 1_000;
const addressesAUser = 5;
const workers = 16;
/** Maximum number of mails that a courier has under way. */
const underWayMax = 20;
/** Longer than an attempt at this relay: mails composed before their code was used have arrived by then. */
const attemptMs = 20_000;

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

/** An authenticator that the service has acknowledged. */
interface Acknowledged {
  readonly userId: string;
  readonly otpEmailId: string;
  readonly to: string;
  /** No earlier than the creation of its code, in milliseconds since the epoch. */
  readonly time: number;
}

/** A kill of the service, the mails under way then, and those of them that came again although they had arrived. */
interface Kill {
  readonly time: number;
  readonly underWay: ReadonlySet<string>;
  readonly again: Set<string>;
}

const numberOf = (to: string) => Number(/\d+/.exec(to)?.[0]);
const isRefused = (to: string) => numberOf(to) % 97 === 5;
/** Users that ask for the mail again, and users that use the code at once, while other mails are under way. */
const isImpatient = (to: string) => numberOf(to) % 7 === 3;
const isQuick = (to: string) => numberOf(to) % 5 === 2;

describe("mails through faults and kills", () => {
  it(`arrive while their code is alive, not later, and nowhere else: ${mailCount} mails, seed ${seed}`, {
    timeout: 3_600_000,
  }, async () => {
    const random = randomOf(seed);
    const relay = await startHostileRelay({ random, faultRate: 0.03, refuses: isRefused });
    const dataDir = join(temporaryFolder(), "data");
    const token = await adminToken(dataDir);
    const settings = {
      COUNTERSIGN_SMTP_URL: relay.url,
      COUNTERSIGN_CODE_TTL: `${codeTtlMs / 1_000}s`,
      COUNTERSIGN_MAIL_INTERVAL: `${mailIntervalMs / 1_000}s`,
    };
    let logs = "";
    let server = await startLoaded(dataDir, settings);
    const database = new Database(databaseOf(dataDir), { readonly: true });
    const leased = database.prepare("select message_id, lease_id from outbox where lease_id is not null");
    const kills: Kill[] = [];
    const deadLeases = new Set<string>();

    async function kill(): Promise<void> {
      const dead: Running = server;
      const time = Date.now();
      dead.child.kill("SIGKILL");
      logs += (await dead.finished()).stderr;
      const rows = leased.all() as { message_id: string; lease_id: string }[];
      // Mails of earlier kills are waiting for the end of their leases.
      const underWay = rows.filter(({ lease_id }) => !deadLeases.has(lease_id));
      for (const { lease_id } of rows) deadLeases.add(lease_id);
      kills.push({ time, underWay: new Set(underWay.map((row) => row.message_id)), again: new Set() });
      server = await startLoaded(dataDir, settings);
    }

    /** Retries until there is a reply, which a kill may prevent. The idempotency key makes that safe. */
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
    const resent = new Set<string>();
    const verifyTimes = new Map<string, number>();
    let isAdded = false;

    const resend = async ({ userId, otpEmailId, to }: Acknowledged) => {
      await call(`/users/${userId}/otp_email/${otpEmailId}/resend`, {}, `resend-${to}`);
      resent.add(to);
    };
    const verify = async ({ userId, otpEmailId, to }: Acknowledged, code: string) => {
      await call(`/users/${userId}/otp_email/${otpEmailId}/verify`, { code }, `verify-${to}`);
      verifyTimes.set(to, Date.now());
    };

    /** Simulates what users do with the mails they have received or are missing. */
    async function live(): Promise<void> {
      const waiting = new Map<string, Acknowledged>();
      const codes = new Map<string, string>();
      for (let seen = 0, known = 0; !isAdded || waiting.size > 0; await sleep(20)) {
        for (const one of [...acknowledged.values()].slice(known)) {
          if ((isImpatient(one.to) || isQuick(one.to)) && !isRefused(one.to)) waiting.set(one.to, one);
          known++;
        }
        for (; seen < relay.copies.length; seen++)
          codes.set(relay.copies[seen]!.to, codeOf(relay.copies[seen]!));
        const now = Date.now();
        for (const [to, one] of waiting) {
          const code = codes.get(to);
          if (now > one.time + codeTtlMs / 2) waiting.delete(to);
          else if (isImpatient(to) && !resent.has(to)) {
            // Half of them have lost the mail, the others can't wait for it.
            const asks = numberOf(to) % 2 === 0 ? code !== undefined : now > one.time + 1_500;
            if (asks && now > one.time + mailIntervalMs) await resend(one);
          } else if (!isQuick(to)) waiting.delete(to);
          else if (code !== undefined) {
            await verify(one, code);
            waiting.delete(to);
          }
        }
      }
    }
    const living = live();

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
    isAdded = true;
    await living;
    expect(acknowledged.size).toBe(mailCount);

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
      code_expire_time: bigint | null;
    }[];
    database.close();

    const copies = await Promise.all(relay.copies.map(read));
    const byAddress = groupBy(copies, ({ to }) => to);
    let expired = 0;
    for (const { otp_email_id, mail_state, mail_settle_time, code_expire_time } of states) {
      const { to } = acknowledged.get(String(otp_email_id))!;
      const mine = byAddress.get(to) ?? [];
      byAddress.delete(to);
      if (isRefused(to)) {
        expect([mail_state, mine.length], to).toEqual(["failed", 0]);
        continue;
      }
      const verifyTime = verifyTimes.get(to) ?? Number.POSITIVE_INFINITY;
      for (const { time, code, header } of mine) {
        // The columns of a used code are null.
        if (code_expire_time !== null)
          expect(time, `a mail to ${to} after the end of its code`).toBeLessThan(Number(code_expire_time));
        expect(time, `a mail to ${to} after its code was used`).toBeLessThan(verifyTime + attemptMs);
        expect([code, header]).toEqual([mine[0]!.code, to]);
      }
      const mails = groupBy(mine, ({ messageId }) => messageId);
      expect(mails.size, `mails to ${to}`).toBeLessThanOrEqual(resent.has(to) ? 2 : 1);
      const isTold = mine.some(({ isTold }) => isTold);
      if (mail_state === "sent") expect(isTold, `a mail to ${to} that was sent`).toBe(true);
      else if (mail_state === "suppressed")
        expect(verifyTime, `a mail to ${to} that was suppressed`).toBeLessThan(Number.POSITIVE_INFINITY);
      else {
        // Given up because the next attempt would have been too late.
        expired++;
        expect(mail_state).toBe("failed");
        expect(
          Number(code_expire_time) - Number(mail_settle_time),
          `a mail to ${to} was given up`,
        ).toBeLessThanOrEqual(265_000);
        // Otherwise the service may have been killed before it recorded the mail as sent.
        if (kills.length === 0 && !resent.has(to)) expect(isTold).toBe(false);
      }
      for (const [messageId, same] of mails) {
        expect(new Set(same.map(({ date }) => date)).size, `dates of one mail to ${to}`).toBe(1);
        for (const [i, copy] of same.slice(1).entries()) {
          const before = same[i]!;
          if (!before.isTold || relay.restTimes.some((time) => Math.abs(time - before.time) < 1_000))
            continue;
          const kill = kills.find(
            ({ time, underWay, again }) =>
              time >= before.time - 1_000 &&
              time <= copy.time &&
              underWay.has(messageId) &&
              !again.has(messageId),
          );
          expect(kill, `a second copy to ${to} without a reset after the dot or a kill`).toBeDefined();
          kill?.again.add(messageId);
        }
      }
    }
    for (const { underWay } of kills) expect(underWay.size).toBeLessThanOrEqual(underWayMax);
    expect([...byAddress.keys()], "unknown recipients").toEqual([]);
    expect(expired).toBeLessThanOrEqual(mailCount / 100);

    // Codes that are still alive are accepted.
    const alive = [...acknowledged.values()].filter(
      ({ to, time }) => !isRefused(to) && time + codeTtlMs - 20_000 > Date.now(),
    );
    let late = 0;
    for (const one of alive.slice(-100)) {
      const code = copies.find((copy) => copy.to === one.to && copy.isTold)?.code;
      if (!code || verifyTimes.has(one.to)) continue;
      await verify(one, code);
      late++;
    }
    expect(late).toBeGreaterThan(0);
    // Used codes stay used.
    for (const { userId, otpEmailId, to } of [...acknowledged.values()]
      .filter((one) => verifyTimes.has(one.to))
      .slice(0, 100)) {
      const { code = "" } = copies.find((copy) => copy.to === to) ?? {};
      const again = await callerOf(server.origin, token)(
        "POST",
        `/users/${userId}/otp_email/${otpEmailId}/verify`,
        { code },
      );
      expect(again.body.details?.[0]?.reason, to).toBe("CODE_USED");
    }
    logs += server.stderr();
    for (const { code } of copies) expect(logs.includes(code), "a code in the log").toBe(false);
    const mails = new Set(copies.map(({ messageId }) => messageId)).size;
    const againAtKills = kills.map(({ underWay, again }) => `${again.size} of ${underWay.size}`);
    console.log(
      `${mailCount} authenticators, seed ${seed}: ${resent.size} asked again, ${verifyTimes.size} used their code, ` +
        `${mails} mails in ${copies.length} copies, ${expired} given up; of what was under way at ${kills.length} kills ` +
        `came again though it had arrived: ${againAtKills.join(", ") || "none"}; ` +
        `faults: ${JSON.stringify(Object.fromEntries(relay.faults))}`,
    );
  });
});

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

/** Finds the code in the source of the mail, where it has its own line. */
const codeOf = ({ raw }: Copy) => /^([0-9A-HJKMNP-TV-Z]{8})\r?$/m.exec(raw)?.[1] ?? "(none)";

async function read({ to, raw, time, isTold }: Copy) {
  const { text = "", messageId = "", date, to: header } = await simpleParser(Buffer.from(raw, "latin1"));
  const code = /^[0-9A-HJKMNP-TV-Z]{8}$/m.exec(text)?.[0] ?? "(none)";
  const address = Array.isArray(header) ? undefined : header?.text;
  return { to, time, isTold, messageId, date: date?.getTime(), code, header: address };
}
