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

/** The same faults for the same seed, up to the order in which connections come. */
const seed = Number(process.env.COUNTERSIGN_SEED ?? rounds(20_261_123, Date.now() % 2 ** 31));
const mailCount = rounds(40, 10_000);
/** A mail that was under way when the service was killed waits for the end of its lease, 100 s: kills are for the soak. */
const killEvery = rounds(Number.POSITIVE_INFINITY, 400);
const restEvery = rounds(40, 1_500);
const codeTtlMs = 300_000;
const mailIntervalMs = 1_000;
const addressesAUser = 5;
const workers = 16;
/** What a courier has under way at most. */
const underWayMax = 20;
/** Longer than an attempt at this relay takes: what was composed before a code was used has arrived by then. */
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

/** An authenticator whose mail was acknowledged. */
interface Acknowledged {
  readonly userId: string;
  readonly otpEmailId: string;
  readonly to: string;
  /** When its code was there at the latest, in milliseconds since the epoch. */
  readonly time: number;
}

/** When the service was killed, what it had under way, and what of that came once more though it had arrived. */
interface Kill {
  readonly time: number;
  readonly underWay: ReadonlySet<string>;
  readonly again: Set<string>;
}

const numberOf = (to: string) => Number(/\d+/.exec(to)?.[0]);
const isRefused = (to: string) => numberOf(to) % 97 === 5;
/** Who asks for the mail once more, and who uses the code as soon as there is one, while other mails are under way. */
const isImpatient = (to: string) => numberOf(to) % 7 === 3;
const isQuick = (to: string) => numberOf(to) % 5 === 2;

describe("mails on their way through faults and kills", () => {
  it(`${mailCount} mails from the seed ${seed} on: none is lost while its code lives, none comes after, none goes astray`, {
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
      // Those of earlier kills wait for the end of their leases.
      const underWay = rows.filter(({ lease_id }) => !deadLeases.has(lease_id));
      for (const { lease_id } of rows) deadLeases.add(lease_id);
      kills.push({ time, underWay: new Set(underWay.map((row) => row.message_id)), again: new Set() });
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

    /** What people do with the mails that they have or have not got. */
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
            // Some cannot wait for the mail, some have lost it.
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
        // The columns of a code that was used are empty.
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
        expect(verifyTime, `a mail to ${to} that nobody wants`).toBeLessThan(Number.POSITIVE_INFINITY);
      else {
        // Given up, because the next attempt would have come too late.
        expired++;
        expect(mail_state).toBe("failed");
        expect(
          Number(code_expire_time) - Number(mail_settle_time),
          `a mail to ${to} was given up`,
        ).toBeLessThanOrEqual(265_000);
        // Or the service was killed before it could write that it was sent.
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
          expect(
            kill,
            `a second copy to ${to}, without a reset behind the dot, and not by a kill`,
          ).toBeDefined();
          kill?.again.add(messageId);
        }
      }
    }
    for (const { underWay } of kills) expect(underWay.size).toBeLessThanOrEqual(underWayMax);
    expect([...byAddress.keys()], "recipients that nobody asked for").toEqual([]);
    expect(expired).toBeLessThanOrEqual(mailCount / 100);

    // The codes are right, as far as they still live.
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
    // Whatever came after: what was used stays so.
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
      `${mailCount} authenticators from the seed ${seed} on: ${resent.size} asked again, ${verifyTimes.size} used their code, ` +
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

/** As it stands in the source, on a line of its own. */
const codeOf = ({ raw }: Copy) => /^([0-9A-HJKMNP-TV-Z]{8})\r?$/m.exec(raw)?.[1] ?? "(none)";

async function read({ to, raw, time, isTold }: Copy) {
  const { text = "", messageId = "", date, to: header } = await simpleParser(Buffer.from(raw, "latin1"));
  const code = /^[0-9A-HJKMNP-TV-Z]{8}$/m.exec(text)?.[0] ?? "(none)";
  const address = Array.isArray(header) ? undefined : header?.text;
  return { to, time, isTold, messageId, date: date?.getTime(), code, header: address };
}
