import { setTimeout as sleep } from "node:timers/promises";
import Database from "better-sqlite3";
import { sql } from "kysely";
import { simpleParser } from "mailparser";
import { describe, expect, it, onTestFinished } from "vitest";
import type { NewOutboxRow, OutboxRow } from "../../../src/db/core/schema.ts";
import { openStore, type Store } from "../../../src/db/store.ts";
import {
  type Composed,
  type CourierOptions,
  type SettledMail,
  startCourier,
} from "../../../src/mail/courier/courier.ts";
import { claim } from "../../../src/mail/outbox/claim.ts";
import { createSmtpMailer } from "../../../src/mail/smtp/smtp-mailer.ts";
import { renderVerificationMail } from "../../../src/mail/templates/verification.ts";
import { MovableClock } from "../../support/clock.ts";
import { engine } from "../../support/db/database.ts";
import { createGate } from "../../support/gate.ts";
import { watchResidentBytes } from "../../support/http/memory.ts";
import {
  certificate,
  type ReceivedMail,
  refusal,
  type Script,
  startRelay,
  startScriptedRelay,
  startTap,
} from "../../support/mail/relay.ts";
import { allRows, insertRows, newRow, onlyRow, openMailStore } from "../../support/mail/rows.ts";
import { rounds } from "../../support/soak.ts";
import { waitFor } from "../../support/wait-for.ts";

/** Counts the pending waits: 0 while the courier has something to do. */
class WatchedClock extends MovableClock {
  waiting = 0;

  override async wait(ms: number, signal: AbortSignal): Promise<void> {
    this.waiting++;
    await super.wait(ms, signal);
    this.waiting--;
  }
}

interface Setup {
  store: Store;
  databaseUrl: string;
  clock: WatchedClock;
  settled: SettledMail[];
  log: { level: string; fields: Record<string, unknown>; message: string }[];
  /** Queues mails like another process, without waking the courier. */
  queue(rows?: Partial<NewOutboxRow>[]): Promise<void>;
  start(port: number, options?: Partial<CourierOptions>): ReturnType<typeof startCourier>;
}

/** Opens a store with a few authenticators, for couriers that send to a relay on a port. */
async function setUp(authenticators = 1): Promise<Setup> {
  const clock = new WatchedClock();
  const { store, databaseUrl } = await openMailStore(clock.now(), authenticators);
  const log: Setup["log"] = [];
  const settled: SettledMail[] = [];
  const write = (level: string) => (fields: object, message: string) => {
    log.push({ level, fields: { ...fields }, message });
  };
  return {
    store,
    databaseUrl,
    clock,
    settled,
    log,
    queue: (rows = [{}]) =>
      insertRows(
        store,
        rows.map((row) => newRow(clock.now(), row)),
      ),
    start(port, options = {}) {
      const from = { name: "Countersign", address: "codes@example.com" };
      const mailer = options.mailer ?? createSmtpMailer({ url: `smtp://127.0.0.1:${port}`, from });
      const courier = startCourier({
        store,
        clock,
        mailer,
        compose: (row) => compose(store, row),
        log: { info: write("info"), warn: write("warn"), error: write("error") },
        onSettled: (mail) => settled.push(mail),
        ...options,
      });
      onTestFinished(async () => {
        await endOf(courier, clock);
        await mailer[Symbol.asyncDispose]();
      });
      return courier;
    },
  };
}

/** Disposes a courier, and moves the clock past its grace period. */
async function endOf(courier: AsyncDisposable, clock: MovableClock): Promise<void> {
  let ended = false;
  courier[Symbol.asyncDispose]().then(() => {
    ended = true;
  });
  await waitFor("the courier has ended", () => {
    clock.move(10_000);
    return ended;
  });
}

/** As in the service, the code depends only on the row. */
const codeOf = (row: OutboxRow) => Buffer.from(row.code_salt).toString("hex").slice(0, 8).toUpperCase();

async function compose(store: Store, row: OutboxRow): Promise<Composed> {
  const { address } = await store.db
    .selectFrom("otp_emails")
    .select("address")
    .where("otp_email_id", "=", row.otp_email_id)
    .executeTakeFirstOrThrow();
  const content = renderVerificationMail({
    code: codeOf(row),
    link: "https://app.example/",
    ttlMs: 600_000,
  });
  const date = new Date(row.create_time);
  return { kind: "mail", mail: { to: address, messageId: row.message_id, date, ...content } };
}

const field = (mail: ReceivedMail, name: string) =>
  new RegExp(`^${name}: (.*)\r$`, "m").exec(mail.raw)?.[1] ?? "";

const attempts = (store: Store, count: number) =>
  waitFor(`attempt ${count} is over`, async () => {
    const row = await onlyRow(store);
    return row.attempts === count && row.lease_id === null && row;
  });

const inState = (store: Store, state: OutboxRow["state"]) =>
  waitFor(`the mail is ${state}`, async () => {
    const row = await onlyRow(store);
    return row.state === state && row;
  });

/** Waits until no mail is under way and the courier waits for the clock. */
async function idle(store: Store, clock: WatchedClock) {
  // A wait that the clock has just ended still counts.
  await sleep(0);
  const leased = store.db.selectFrom("outbox").select("mail_id").where("lease_id", "is not", null).limit(1);
  await waitFor(
    "the courier is idle",
    async () => clock.waiting > 0 && (await leased.execute()).length === 0,
  );
}

describe("a courier", () => {
  it("sends a queued mail once, and reports it", async () => {
    const { store, clock, queue, start, settled, log } = await setUp();
    const relay = await startRelay();
    await queue();
    start(relay.port);
    const row = await inState(store, "sent");
    expect(row).toMatchObject({ attempts: 1, reason: null, settle_time: clock.now(), lease_id: null });
    clock.move(300_000);
    expect(relay.received).toHaveLength(1);
    expect(relay.received[0]).toMatchObject({ from: "codes@example.com", to: ["a1@x.io"] });
    expect(field(relay.received[0]!, "Message-ID")).toBe(row.message_id);
    expect(field(relay.received[0]!, "Date")).toBe("Mon, 23 Nov 2026 09:00:00 +0000");
    const line = {
      mailId: row.mail_id,
      purpose: "enrolment",
      state: "sent",
      attempts: 1,
      reason: null,
      durationMs: 0,
    };
    await waitFor("the mail is reported", () => settled.length > 0);
    expect(settled).toEqual([line]);
    expect(log).toEqual([{ level: "info", fields: line, message: "mail" }]);
  });

  it("T14 logs neither codes nor addresses", async () => {
    const { store, queue, start, log } = await setUp(4);
    const code = codeOf(newRow(0) as OutboxRow);
    const relay = await startRelay({
      onRcptTo: ({ address }, _session, callback) => {
        if (address === "a1@x.io") return callback(refusal(550, `5.1.1 ${address} ${code}`));
        if (address === "a2@x.io") return callback(refusal(451, `4.7.1 ${address} ${code}`));
        callback();
      },
    });
    await queue(["1", "2", "3", "4"].map((id) => ({ otp_email_id: id })));
    start(relay.port, {
      compose: (row) => {
        if (`${row.otp_email_id}` === "3") throw new RangeError(`a3@x.io has the code ${code}`);
        return compose(store, row);
      },
    });
    await waitFor("all were tried", () => log.filter((line) => line.message === "mail").length === 4);
    const text = JSON.stringify([log, await allRows(store)]);
    expect(text).not.toContain(code);
    expect(text).not.toMatch(/@x\.io/);
    expect(text).toContain("550 5.1.1 rcpt");
    expect(text).toContain("RangeError");
  });

  it("sends a new mail at once when it is woken", async () => {
    const { store, queue, start } = await setUp();
    const relay = await startRelay();
    const courier = start(relay.port);
    await queue();
    courier.wake();
    await inState(store, "sent");
  });

  it("finds a mail of another process within five seconds", async () => {
    const { store, clock, queue, start } = await setUp(2);
    const relay = await startRelay();
    const courier = start(relay.port);
    await queue();
    courier.wake();
    await inState(store, "sent");
    await queue([{ otp_email_id: "2" }]);
    // The courier may not be waiting yet.
    await waitFor("the second mail is sent", () => {
      clock.move(5_000);
      return relay.received.length === 2;
    });
  });

  it("sends many mails at a time, but never more than 20", async () => {
    const { store, queue, start } = await setUp();
    let underWay = 0;
    let maxUnderWay = 0;
    const relay = await startRelay({
      onMail: async () => {
        maxUnderWay = Math.max(maxUnderWay, ++underWay);
        await new Promise((resolve) => setTimeout(resolve, 10));
        underWay--;
      },
    });
    await queue(Array.from({ length: 100 }, () => ({})));
    start(relay.port);
    await waitFor("all are sent", async () => (await allRows(store)).every((row) => row.state === "sent"));
    expect(relay.received).toHaveLength(100);
    expect(maxUnderWay).toBeGreaterThan(4);
    expect(maxUnderWay).toBeLessThanOrEqual(20);
  });

  it("backs off from a relay that replies 421, and still delivers everything", async () => {
    const { store, clock, queue, start } = await setUp();
    let underWay = 0;
    const tooMany: number[] = [];
    const relay = await startRelay({
      onRcptTo: (_address, _session, callback) => {
        if (++underWay > 5) {
          tooMany.push(underWay--);
          return callback(Object.assign(new Error("too many at a time"), { responseCode: 421 }));
        }
        callback();
      },
      onMail: async () => {
        await sleep(10);
        underWay--;
      },
    });
    await queue(Array.from({ length: 100 }, () => ({})));
    start(relay.port);
    const isDone = async () => (await allRows(store)).every((row) => row.state === "sent");
    await waitFor("all are sent", async () => {
      clock.move(1_000);
      return await isDone();
    });
    expect(relay.received).toHaveLength(100);
    // Without the back-off it would send 20 at a time.
    expect(tooMany.length).toBeGreaterThan(0);
    expect(tooMany.length).toBeLessThan(60);
  });

  it("F13 is not held up by a mail that gets stuck", async () => {
    const { store, queue, start } = await setUp(5);
    const relay = await startRelay({
      onRcptTo: ({ address }, _session, callback) => {
        if (address !== "a1@x.io") callback();
      },
    });
    await queue(["1", "2", "3", "4", "5"].map((id) => ({ otp_email_id: id })));
    start(relay.port, { concurrencyMax: 2 });
    await waitFor("the others are sent", () => relay.received.length === 4);
    expect((await allRows(store))[0]).toMatchObject({ state: "queued", attempts: 1 });
  });

  const sharedCount = rounds(200, 10_000);
  it(`F17 shares ${sharedCount} mails with a courier on another connection, without duplicates`, {
    timeout: 600_000,
  }, async () => {
    const { store, databaseUrl, queue, start, settled } = await setUp(20);
    const other = openStore(databaseUrl);
    onTestFinished(() => other[Symbol.asyncDispose]());
    const relay = await startRelay();
    await queue(Array.from({ length: sharedCount }, (_, i) => ({ otp_email_id: `${(i % 20) + 1}` })));
    start(relay.port);
    start(relay.port, { store: other });
    while (settled.length < sharedCount) await sleep(20);
    const rows = await allRows(store);
    expect(rows.filter(({ state, attempts }) => state === "sent" && attempts === 1)).toHaveLength(
      sharedCount,
    );
    const ids = relay.received.map((mail) => field(mail, "Message-ID"));
    expect(ids.sort()).toEqual(rows.map((row) => row.message_id).sort());
  });
});

describe("a mail that is not accepted", () => {
  it("F14 is sent again with the same Message-ID, Date and code", async () => {
    const { store, clock, queue, start } = await setUp();
    const seen: ReceivedMail[] = [];
    const relay = await startRelay({
      onMail: (mail) => {
        seen.push(mail);
        if (seen.length < 3) throw refusal(451, "4.7.1 later");
      },
    });
    await queue();
    start(relay.port);
    for (let attempt = 1; attempt <= 2; attempt++) {
      const row = await attempts(store, attempt);
      expect(row).toMatchObject({ state: "queued", reason: "451 4.7.1 data" });
      clock.move(row.next_attempt_time - clock.now());
    }
    const row = await inState(store, "sent");
    expect(row).toMatchObject({ attempts: 3, reason: null });
    expect(seen).toHaveLength(3);
    for (const mail of seen) {
      expect(field(mail, "Message-ID")).toBe(row.message_id);
      expect(field(mail, "Date")).toBe("Mon, 23 Nov 2026 09:00:00 +0000");
      expect((await simpleParser(mail.raw)).text).toContain(`\n${codeOf(row)}\n`);
    }
  });

  it("F14 is tried after 0, 2, 5, 15, 30, 60, 120 and 240 s, until its code expires", async () => {
    const { store, clock, queue, start, settled } = await setUp();
    const relay = await startScriptedRelay({ RCPT: "450 4.2.0 later" });
    await queue();
    start(relay.port);
    const delays: number[] = [];
    for (let attempt = 1; attempt < 8; attempt++) {
      const row = await attempts(store, attempt);
      const delay = row.next_attempt_time - clock.now();
      delays.push(delay);
      clock.move(delay);
    }
    const plan = [2, 5, 15, 30, 60, 120, 240].map((s) => s * 1000);
    for (const [i, delay] of delays.entries()) {
      expect(delay).toBeGreaterThanOrEqual(plan[i]!);
      expect(delay).toBeLessThanOrEqual(plan[i]! * 1.1);
    }
    // The next attempt would come after the ten minutes.
    expect(await inState(store, "failed")).toMatchObject({ attempts: 8, reason: "450 4.2.0 rcpt" });
    await waitFor("the end is reported", () => settled.length === 8);
    expect(settled.map((mail) => mail.state)).toEqual([...Array(7).fill("queued"), "failed"]);
  });

  it("is not tried before it is due", async () => {
    const { store, clock, queue, start } = await setUp(2);
    const relay = await startRelay({
      onRcptTo: ({ address }, _session, callback) =>
        callback(address === "a1@x.io" ? refusal(451, "later") : null),
    });
    await queue();
    const courier = start(relay.port);
    const { next_attempt_time } = await attempts(store, 1);
    clock.move(next_attempt_time - clock.now() - 1);
    // When the second mail is sent, the first has been skipped.
    await queue([{ otp_email_id: "2" }]);
    courier.wake();
    await waitFor("the second mail is sent", () => relay.received.length === 1);
    expect((await allRows(store))[0]).toMatchObject({ attempts: 1, state: "queued" });
    clock.move(1);
    await waitFor("the first is tried again", async () => (await allRows(store))[0]?.attempts === 2);
  });

  it.each([
    ["MAIL", "550 5.7.1 not you", "550 5.7.1 mail"],
    ["RCPT", "550 5.1.1 no such user", "550 5.1.1 rcpt"],
    ["DATA", "554 5.5.1 no", "554 5.5.1 data"],
    ["dot", "554 5.7.1 spam", "554 5.7.1 data"],
  ] as const)("F15 fails when it is rejected permanently at %s: %s", async (point, reply, reason) => {
    const { store, clock, queue, start, log } = await setUp();
    const relay = await startScriptedRelay({ [point]: reply });
    await queue();
    start(relay.port);
    const row = await inState(store, "failed");
    expect(row).toMatchObject({ attempts: 1, reason, settle_time: clock.now() });
    await waitFor("the failure is logged", () => log.length > 0);
    expect(log).toMatchObject([{ level: "warn", fields: { state: "failed", reason } }]);
    clock.move(500_000);
    expect(relay.bytes().match(/^MAIL/gm)).toHaveLength(1);
  });

  it("F12 waits while the relay is down, and is sent when it returns", async () => {
    const { store, clock, queue, start } = await setUp();
    const down = await startRelay();
    await down.stop();
    await queue([{}, {}, {}]);
    start(down.port);
    const all = (check: (row: OutboxRow) => boolean) =>
      waitFor("all mails", async () => (await allRows(store)).every(check));
    await all((row) => row.attempts === 1 && row.lease_id === null && row.reason === "connection");
    const back = await startRelay({ port: down.port });
    clock.move(2_200);
    await all((row) => row.state === "sent");
    expect(back.received).toHaveLength(3);
  });

  it("F12 is sent within 30 s after the relay returns from an outage of five minutes, if its code is alive", async () => {
    const { store, clock, queue, start } = await setUp();
    const away = await startRelay();
    await away.stop();
    start(away.port);
    const step = async () => {
      clock.move(5_000);
      await idle(store, clock);
    };
    const outageTime = clock.now();
    // Every third mail expires before the relay is back.
    for (let i = 0; i < 60; i++) {
      const expireTime = i % 3 === 0 ? outageTime + 290_000 : clock.now() + 600_000;
      if (i % 2 === 0) await queue([{ expire_time: expireTime }]);
      await step();
    }
    const back = await startRelay({ port: away.port });
    for (let i = 0; i < 6; i++) await step();
    const rows = await allRows(store);
    const alive = rows.filter((row) => row.expire_time > outageTime + 300_000);
    expect(alive).toHaveLength(20);
    expect(alive.map((row) => row.state)).toEqual(Array(20).fill("sent"));
    expect(back.received.map((mail) => field(mail, "Message-ID")).sort()).toEqual(
      alive.map((row) => row.message_id).sort(),
    );
  });

  it("F18 waits with an alarm while the TLS of the relay is broken, and is sent when it works", async () => {
    const { store, clock, queue, start, log } = await setUp();
    const good = certificate("relay");
    const first = await startRelay(good);
    const { port } = first;
    const from = { name: "Countersign", address: "codes@example.com" };
    const url = `smtp://localhost:${port}`;
    const mailer = createSmtpMailer({ url, from, requireTls: true, ca: good.cert });
    await queue();
    start(port, { mailer });
    await waitFor("the first mail", () => first.received.length === 1);
    await first.stop();

    // First its certificate is expired, then it has no TLS at all. Nothing is sent in clear text.
    await queue();
    const bad = [certificate("expired"), {}];
    for (const [i, options] of bad.entries()) {
      const relay = await startRelay({ ...options, port });
      clock.move(i === 0 ? 5_000 : 30_000);
      await waitFor("a failed attempt", () => {
        const failures = log.filter(({ level, fields }) => level === "error" && fields.reason === "tls");
        return relay.connections > 0 && failures.length > i;
      });
      expect(relay.received).toEqual([]);
      await relay.stop();
    }
    const waiting = (await allRows(store)).find((row) => row.state === "queued");
    expect(waiting).toMatchObject({ reason: "tls", lease_id: null });

    const repaired = await startRelay({ ...good, port });
    clock.move(60_000);
    await waitFor("the second mail", () => repaired.received.length === 1);
  });

  it("F20 is sent before a backlog of expired mails is dropped, which takes little memory", {
    timeout: 3_600_000,
  }, async () => {
    const { clock, queue, start, settled } = await setUp(20);
    const now = clock.now();
    const expiredCount = rounds(20_000, 1_000_000);
    for (let i = 0; i < expiredCount; i += 5_000) {
      await queue(
        Array.from({ length: 5_000 }, (_, n) => ({
          otp_email_id: `${(n % 20) + 1}`,
          create_time: now - 900_000,
          next_attempt_time: now - 900_000 + n,
          expire_time: now - 300_000,
        })),
      );
    }
    await queue(Array.from({ length: 10 }, (_, n) => ({ otp_email_id: `${n + 1}` })));
    const relay = await startRelay();
    const memory = watchResidentBytes(process.pid);
    onTestFinished(memory.stop);
    const before = memory.peak();
    let dropped = 0;
    let droppedBefore = 0;
    start(relay.port, {
      onSettled: (mail) => {
        if (mail.state === "dropped") dropped++;
        else {
          settled.push(mail);
          droppedBefore = dropped;
        }
      },
      log: { info() {}, warn() {}, error() {} },
    });
    const isDone = () => settled.length === 10 && dropped === expiredCount;
    while (!isDone()) await sleep(20);
    expect(relay.received.map(({ to }) => to[0]).sort()).toEqual(
      Array.from({ length: 10 }, (_, n) => `a${n + 1}@x.io`).sort(),
    );
    // The live mails did not wait for the end of the backlog.
    expect(droppedBefore).toBeLessThan(15_000);
    expect(memory.peak() - before).toBeLessThan(150_000_000);
  });

  it("F20 is sent in time by a relay that accepts one mail per second and replies 421 to others", async () => {
    const { store, clock, queue, start } = await setUp(20);
    const startTime = clock.now();
    let takenTime = 0;
    let refused = 0;
    const relay = await startRelay({
      onRcptTo: (_address, _session, callback) => {
        if (clock.now() < takenTime + 1_000) {
          refused++;
          return callback(refusal(421, "4.7.0 too fast"));
        }
        takenTime = clock.now();
        callback();
      },
    });
    await queue(
      Array.from({ length: 20 }, (_, i) => ({ otp_email_id: `${i + 1}`, expire_time: startTime + 120_000 })),
    );
    start(relay.port);
    while (relay.received.length < 20 && clock.now() < startTime + 120_000) {
      clock.move(500);
      await idle(store, clock);
    }
    expect(relay.received).toHaveLength(20);
    expect(new Set(relay.received.map(({ to }) => to[0])).size).toBe(20);
    await waitFor("all are recorded", async () =>
      (await allRows(store)).every((row) => row.state === "sent"),
    );
    // The courier pauses after a 421.
    expect(refused).toBeLessThan(60);
  });

  it.each(["body", "dot"] as const)("F16 is sent again after a reset at: %s", async (point) => {
    const { store, clock, queue, start } = await setUp();
    const relay = await startScriptedRelay({ [point]: "(reset)" });
    await queue();
    start(relay.port);
    const row = await attempts(store, 1);
    expect(row).toMatchObject({ state: "queued", reason: "connection" });
    relay.script = {};
    clock.move(2_200);
    await inState(store, "sent");
    // The first copy may be incomplete.
    const ids = relay.bytes().match(/^Message-ID: .*$/gm);
    expect(new Set(ids)).toEqual(new Set([`Message-ID: ${row.message_id}`]));
    expect(relay.bytes().match(/^DATA\r$/gm)).toHaveLength(2);
    const whole = relay
      .bytes()
      .split("DATA\r\n")
      .slice(1)
      .filter((copy) => copy.includes("\r\n.\r\n"));
    for (const copy of whole) {
      const { date, text } = await simpleParser(copy.slice(0, copy.indexOf("\r\n.\r\n")));
      expect(date).toEqual(new Date(row.create_time));
      expect(text).toContain(`\n${codeOf(row)}\n`);
    }
    expect(whole.length).toBeGreaterThanOrEqual(point === "dot" ? 2 : 1);
  });

  it.each([
    ["RCPT", 25_000],
    // The mail may have arrived, so each attempt may deliver another copy.
    ["dot", 120_000],
  ] as const)("F16 is sent a seventh time after a reset at %s: not before %i ms", async (point, delay) => {
    const { store, clock, queue, start } = await setUp();
    const relay = await startScriptedRelay({ [point]: "(reset)" });
    await queue([{ attempts: 5 }]);
    start(relay.port);
    const { next_attempt_time } = await attempts(store, 6);
    expect(next_attempt_time - clock.now()).toBeGreaterThanOrEqual(delay);
    expect(next_attempt_time - clock.now()).toBeLessThanOrEqual(delay * 1.1);
  });

  it.each<
    [
      string,
      { script?: Script; certificate?: Parameters<typeof certificate>[0]; trusted?: boolean; host?: string },
    ]
  >([
    ["no STARTTLS", { script: {} }],
    ["454 to STARTTLS", { script: { EHLO: "250-r\n250 STARTTLS", STARTTLS: "454 4.7.0 not now" } }],
    ["a self-signed certificate", { certificate: "relay" }],
    ["an expired certificate", { certificate: "expired", trusted: true }],
    ["a certificate of another name", { certificate: "other-name", trusted: true }],
  ])(
    "F18, T27 stays queued with an alarm, and nothing goes in clear text, while the relay has %s",
    async (_name, { script, certificate: name = "relay", trusted }) => {
      const { store, queue, start, log } = await setUp();
      const relay = script
        ? await startScriptedRelay(script)
        : await startTap((await startRelay(certificate(name))).port);
      const mailer = createSmtpMailer({
        url: `smtp://user:password@localhost:${relay.port}`,
        from: { name: "", address: "codes@example.com" },
        requireTls: true,
        ...(trusted && { ca: certificate(name).cert }),
      });
      await queue();
      start(relay.port, { mailer });
      const row = await attempts(store, 1);
      expect(row).toMatchObject({ state: "queued", reason: "tls", attempts: 1 });
      await waitFor("the alarm", () =>
        log.some(({ level, fields }) => level === "error" && fields.reason === "tls"),
      );
      expect(relay.bytes()).toContain("STARTTLS");
      for (const secret of [codeOf(row), "MAIL", "RCPT", "AUTH", "a1@x.io", "password"])
        expect(relay.bytes()).not.toContain(secret);
    },
  );
});

describe("a mail whose code is not alive", () => {
  it("is dropped when it has expired", async () => {
    const { store, clock, queue, start, settled } = await setUp();
    const relay = await startRelay();
    await queue([{ expire_time: clock.now() }]);
    start(relay.port);
    expect(await inState(store, "dropped")).toMatchObject({ reason: "expired", attempts: 0 });
    await waitFor("it is reported", () => settled.length > 0);
    expect(settled).toMatchObject([{ state: "dropped", reason: "expired" }]);
    expect(relay.connections).toBe(0);
  });

  it("is dropped when it expires while the mail is composed", async () => {
    const { store, clock, queue, start } = await setUp();
    const relay = await startRelay();
    await queue();
    start(relay.port, {
      compose: (row) => {
        clock.move(600_000);
        return compose(store, row);
      },
    });
    expect(await inState(store, "dropped")).toMatchObject({ reason: "expired", attempts: 1 });
    expect(relay.connections).toBe(0);
  });

  it("is dropped when compose says so", async () => {
    const { store, queue, start, log } = await setUp();
    const relay = await startRelay();
    await queue();
    start(relay.port, { compose: async () => ({ kind: "drop", reason: "code not alive" }) });
    expect(await inState(store, "dropped")).toMatchObject({ reason: "code not alive" });
    await waitFor("it is logged", () => log.length > 0);
    expect(log).toMatchObject([{ level: "info", fields: { state: "dropped" } }]);
    expect(relay.connections).toBe(0);
  });
});

describe("a lease", () => {
  it("F17 lets the mail of a dead courier be sent again, with the same Message-ID and Date", async () => {
    const { store, clock, queue, start } = await setUp();
    const relay = await startRelay();
    await queue();
    // The courier dies between the relay's 250 and the record of it.
    const [row] = await claim(store, clock.now(), { leaseMs: 100_000, limit: 1, leaseId: "dead" });
    const from = { name: "Countersign", address: "codes@example.com" };
    const mailer = createSmtpMailer({ url: `smtp://127.0.0.1:${relay.port}`, from });
    const composed = await compose(store, row!);
    if (composed.kind === "mail") await mailer.send(composed.mail, new AbortController().signal);
    await mailer[Symbol.asyncDispose]();

    clock.move(100_000);
    start(relay.port);
    expect(await inState(store, "sent")).toMatchObject({ attempts: 2 });
    expect(relay.received).toHaveLength(2);
    const [first, second] = relay.received;
    for (const name of ["Message-ID", "Date", "Subject"]) {
      expect(field(second!, name)).toBe(field(first!, name));
    }
  });

  it("F17 keeps a courier that lost it from changing anything", async () => {
    const { store, clock, queue, start, settled, log } = await setUp();
    const gate = createGate();
    const seen: string[] = [];
    const relay = await startRelay({
      onMail: async (mail) => {
        seen.push(field(mail, "Message-ID"));
        // The first copy is rejected after the second has been accepted.
        if (seen.length === 1) {
          await gate.opened;
          throw refusal(550, "5.7.1 no");
        }
      },
    });
    await queue();
    start(relay.port);
    await waitFor("the first copy is under way", () => seen.length === 1);
    clock.move(100_000);
    start(relay.port);
    const row = await inState(store, "sent");
    gate.open();
    await waitFor("the first courier finds out", () => log.some((line) => /taken over/.test(line.message)));
    expect(await onlyRow(store)).toEqual(row);
    expect(settled).toHaveLength(1);
    expect(new Set(seen).size).toBe(1);
  });

  it("does not let a suspended courier claim its own mail again", async () => {
    const { store, clock, queue, start, log } = await setUp();
    const gate = createGate();
    let arrived = 0;
    const relay = await startRelay({
      onMail: () => {
        arrived++;
        return gate.opened;
      },
    });
    await queue();
    const courier = start(relay.port);
    await waitFor("the mail is under way", () => arrived === 1);
    clock.move(100_000);
    courier.wake();
    await sleep(200);
    gate.open();
    expect(await inState(store, "sent")).toMatchObject({ attempts: 1 });
    expect(arrived).toBe(1);
    expect(log.filter(({ message }) => /taken over/.test(message))).toEqual([]);
  });

  it("keeps a courier from sending a mail after a long suspension", async () => {
    const { store, clock, queue, start } = await setUp();
    const relay = await startRelay();
    await queue();
    let first = true;
    start(relay.port, {
      compose: (row) => {
        if (first) clock.move(100_000);
        first = false;
        return compose(store, row);
      },
    });
    expect(await attempts(store, 1)).toMatchObject({ state: "queued", reason: "lease" });
    expect(relay.connections).toBe(0);
    clock.move(2_200);
    await inState(store, "sent");
  });
});

describe("a mail that cannot be composed", () => {
  it("F19 fails at the first attempt, and the others are sent", async () => {
    const { store, queue, start, log } = await setUp(3);
    const relay = await startRelay();
    await queue(["1", "2", "3"].map((id) => ({ otp_email_id: id })));
    start(relay.port, {
      compose: async (row) => {
        if (`${row.otp_email_id}` === "1") throw new TypeError("secret text");
        return compose(store, row);
      },
    });
    await waitFor("the others are sent", () => relay.received.length === 2);
    const poison = () => allRows(store).then((rows) => rows[0]!);
    await waitFor("it has failed", async () => (await poison()).state === "failed");
    expect(await poison()).toMatchObject({ attempts: 1, reason: "compose" });
    const errors = log.filter((line) => line.level === "error");
    expect(errors.map((line) => line.fields.error)).toEqual(["TypeError"]);
    expect(JSON.stringify(log)).not.toContain("secret text");
  });

  it("F19 costs the other mails no attempt and no concurrency", async () => {
    const { store, queue, start } = await setUp(2);
    let underWay = 0;
    let maxUnderWay = 0;
    const relay = await startRelay({
      onMail: async () => {
        maxUnderWay = Math.max(maxUnderWay, ++underWay);
        await sleep(10);
        underWay--;
      },
    });
    await queue(Array.from({ length: 100 }, (_, i) => ({ otp_email_id: i % 2 === 0 ? "1" : "2" })));
    start(relay.port, {
      compose: async (row) => {
        if (`${row.otp_email_id}` === "1") throw new TypeError("no");
        return compose(store, row);
      },
    });
    await waitFor("all are settled", async () =>
      (await allRows(store)).every((row) => row.state !== "queued"),
    );
    const rows = await allRows(store);
    expect(new Set(rows.map(({ state, attempts }) => `${state} ${attempts}`))).toEqual(
      new Set(["failed 1", "sent 1"]),
    );
    expect(relay.received).toHaveLength(50);
    expect(maxUnderWay).toBeGreaterThan(4);
  });

  it("is retried while the storage fails", async () => {
    const { store, clock, queue, start } = await setUp();
    const relay = await startRelay();
    await queue();
    let broken = true;
    start(relay.port, {
      compose: async (row) => {
        if (broken) throw new Database.SqliteError("database is locked", "SQLITE_BUSY");
        return compose(store, row);
      },
    });
    for (let attempt = 1; attempt <= 3; attempt++) {
      const row = await attempts(store, attempt);
      expect(row).toMatchObject({ state: "queued", reason: "storage" });
      broken = attempt < 3;
      clock.move(row.next_attempt_time - clock.now());
    }
    await inState(store, "sent");
  });
});

describe("a database that fails", () => {
  const repairIt = (store: Store) => sql`alter table gone rename to outbox`.execute(store.db);

  /** Renames the outbox, until it is repaired or the test ends. */
  async function breakIt(store: Store) {
    await sql`alter table outbox rename to gone`.execute(store.db);
    onTestFinished(() => repairIt(store).then(undefined, () => {}));
  }

  it("does not end the courier", async () => {
    const { store, clock, queue, start, log } = await setUp();
    const relay = await startRelay();
    await queue();
    await breakIt(store);
    const courier = start(relay.port);
    const pauses = [1_000, 2_000, 4_000, 8_000, 16_000, 30_000];
    for (const [failures, pause] of pauses.entries()) {
      await waitFor("an attempt", () => log.length === failures + 1);
      // A call to wake must not shorten the pause of a failing database.
      courier.wake();
      clock.move(pause - 1);
      await sleep(10);
      expect(log).toHaveLength(failures + 1);
      clock.move(1);
    }
    await waitFor("another attempt", () => log.length === pauses.length + 1);
    const fields =
      engine === "sqlite"
        ? { error: "SqliteError", code: "SQLITE_ERROR" }
        : { error: "error", code: "42P01" };
    expect(log[0]).toEqual({ level: "error", fields, message: "the outbox cannot be reached" });
    await repairIt(store);
    clock.move(30_000);
    await inState(store, "sent");
  });

  it("does not cause a mail to be sent twice", async () => {
    const { store, clock, queue, start, log } = await setUp();
    const relay = await startRelay({ onMail: async () => void (await breakIt(store)) });
    await queue();
    start(relay.port);
    await waitFor("the outcome cannot be recorded", () => log.some((line) => /recorded/.test(line.message)));
    await repairIt(store);
    clock.move(1_000);
    expect(await inState(store, "sent")).toMatchObject({ attempts: 1 });
    expect(relay.received).toHaveLength(1);
  });

  it("does not keep the courier from stopping", async () => {
    const { store, queue, start, log } = await setUp();
    const relay = await startRelay();
    await queue();
    await breakIt(store);
    const courier = start(relay.port);
    await waitFor("an attempt", () => log.length === 1);
    await courier[Symbol.asyncDispose]();
    expect(log).toHaveLength(1);
  });

  it("leaves a mail leased when the courier stops before its outcome is recorded", async () => {
    const { store, queue, start, log } = await setUp();
    const relay = await startRelay({ onMail: async () => void (await breakIt(store)) });
    await queue();
    const courier = start(relay.port);
    await waitFor("the outcome cannot be recorded", () => log.some((line) => /recorded/.test(line.message)));
    await courier[Symbol.asyncDispose]();
    expect(log.at(-1)).toMatchObject({ level: "error", message: "a mail was left behind" });
    await repairIt(store);
    expect(await onlyRow(store)).toMatchObject({ state: "queued", attempts: 1 });
  });
});

describe("disposal", () => {
  it("waits for the mail under way, and claims no others", async () => {
    const { store, queue, start } = await setUp();
    const gate = createGate();
    let seen = 0;
    const relay = await startRelay({
      onMail: () => {
        seen++;
        return gate.opened;
      },
    });
    await queue([{}, {}, {}]);
    const courier = start(relay.port, { concurrencyMax: 1 });
    await waitFor("the first mail is under way", () => seen === 1);
    const disposed = courier[Symbol.asyncDispose]();
    courier.wake();
    gate.open();
    await disposed;
    expect((await allRows(store)).map((row) => row.state)).toEqual(["sent", "queued", "queued"]);
    expect(relay.received).toHaveLength(1);
  });

  it("releases a mail after ten seconds, for another courier to claim at once", async () => {
    const { store, clock, queue, start } = await setUp();
    const relay = await startScriptedRelay({ dot: "(silence)" });
    await queue();
    const courier = start(relay.port);
    await waitFor("the mail is under way", () => relay.bytes().endsWith("\r\n.\r\n"));
    await endOf(courier, clock);
    expect(await onlyRow(store)).toMatchObject({
      state: "queued",
      lease_id: null,
      lease_until: null,
      attempts: 1,
      reason: null,
    });
    relay.script = {};
    start(relay.port);
    await inState(store, "sent");
  });

  it("stops an idle courier", async () => {
    const { start } = await setUp();
    const courier = start(1);
    await courier[Symbol.asyncDispose]();
    await courier[Symbol.asyncDispose]();
  });
});

describe("a listener that throws", () => {
  it("does not end the courier", async () => {
    const { store, queue, start } = await setUp();
    const relay = await startRelay();
    await queue([{}, {}]);
    start(relay.port, {
      concurrencyMax: 1,
      onSettled: () => {
        throw new Error("no");
      },
    });
    await waitFor("both are sent", async () => (await allRows(store)).every((row) => row.state === "sent"));
  });
});
