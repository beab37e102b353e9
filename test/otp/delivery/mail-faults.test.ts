import { simpleParser } from "mailparser";
import { expect, it } from "vitest";
import { DeliveryState } from "../../../gen/countersign/user/v3alpha/otp_email_pb.ts";
import { startTestApp, type TestApp, type UserClient } from "../../support/app.ts";
import { outcomeOf } from "../../support/errors.ts";
import { refusal, startRelay, startScriptedRelay } from "../../support/mail/relay.ts";
import { addUser, addVerified } from "../../support/users.ts";
import { waitFor } from "../../support/wait-for.ts";

const address = "mini@mouse.com";
const smtp = (port: number) => ({ COUNTERSIGN_SMTP_URL: `smtp://127.0.0.1:${port}` });

async function codeOf(raw = ""): Promise<string> {
  const { text = "" } = await simpleParser(Buffer.from(raw, "latin1"));
  return /^[0-9A-HJKMNP-TV-Z]{8}$/m.exec(text)?.[0] ?? "(none)";
}

/** Moves the clock in steps, and waits for all attempts that are due. */
async function pass({ app, clock }: TestApp, ms: number, stepMs = 1_000): Promise<void> {
  for (const end = clock.now() + ms; clock.now() < end; ) {
    clock.move(Math.min(stepMs, end - clock.now()));
    await waitFor("nothing is due", async () => {
      const due = await app.store.db
        .selectFrom("outbox")
        .select("mail_id")
        .where("state", "=", "queued")
        .where((eb) => eb.or([eb("lease_id", "is not", null), eb("next_attempt_time", "<=", clock.now())]))
        .limit(1)
        .execute();
      return due.length === 0;
    });
  }
}

const metricsOf = async (test: TestApp) => await (await fetch(`${test.origin}/metrics`)).text();

const lastMail = async (client: UserClient, otpEmailId: string) =>
  (await client.getOTPEmail({ userId: "u", otpEmailId })).otpEmail?.lastMail;

it("F14 a mail is deferred during 61 s of greylisting, then arrives once with a valid code", async () => {
  let isGreylisted = true;
  let tries = 0;
  const relay = await startRelay({
    onRcptTo: (_address, _session, callback) => {
      tries++;
      callback(isGreylisted ? refusal(451, "4.7.1 greylisted") : null);
    },
  });
  const test = await startTestApp({ environment: smtp(relay.port) });
  const client = await test.admin();
  await addUser(client);
  const { otpEmailId } = await client.addOTPEmail({ userId: "u", email: { address } });
  await pass(test, 61_000);
  expect(await lastMail(client, otpEmailId)).toMatchObject({
    state: DeliveryState.DEFERRED,
    reason: "451 4.7.1 rcpt",
  });
  expect(relay.received).toEqual([]);
  isGreylisted = false;
  await pass(test, 70_000);
  expect(await lastMail(client, otpEmailId)).toMatchObject({ state: DeliveryState.SENT });
  expect(relay.received).toHaveLength(1);
  // Immediately, and after 2, 5, 15, 30 and 60 s.
  expect(tries).toBe(6);
  await client.verifyOTPEmail({ userId: "u", otpEmailId, code: await codeOf(relay.received[0]?.raw) });
});

it("F12 the service answers calls and is ready while the relay is down, with mail_up 0", async () => {
  const away = await startRelay();
  await away.stop();
  const test = await startTestApp({ environment: { ...smtp(away.port), COUNTERSIGN_METRICS: "on" } });
  const client = await test.admin();
  const get = async (path: string) => await fetch(`${test.origin}${path}`);
  const isUp = async () => /^countersign_mail_up (\d)$/m.exec(await metricsOf(test))?.[1];
  await addUser(client);
  const added = await Promise.all(
    [1, 2, 3, 4, 5, 6].map((n) =>
      client.addOTPEmail({ userId: "u", email: { address: `mini-${n}@mouse.com` } }),
    ),
  );
  await pass(test, 10_000);
  await expect.poll(isUp, { timeout: 5_000 }).toBe("0");
  expect((await get("/readyz")).status).toBe(200);
  expect(await lastMail(client, added[0]!.otpEmailId)).toMatchObject({
    state: DeliveryState.DEFERRED,
    reason: "connection",
  });

  const back = await startRelay({ port: away.port });
  await pass(test, 30_000);
  expect(back.received).toHaveLength(6);
  await expect.poll(isUp, { timeout: 5_000 }).toBe("1");
});

it("F12 all mails with live codes, and no others, are sent within 30 s after an outage of five minutes", async () => {
  const away = await startRelay();
  await away.stop();
  const test = await startTestApp({ environment: { ...smtp(away.port), COUNTERSIGN_CODE_TTL: "4m" } });
  const client = await test.admin();
  const aliveUntil = new Map<string, number>();
  const states = async () => {
    const rows = await test.app.store.db.selectFrom("outbox").select(["state"]).execute();
    return rows.map(({ state }) => state);
  };
  const add = async (to: string, userId: string) => {
    await client.addOTPEmail({ userId, email: { address: to } });
    aliveUntil.set(to, test.clock.now() + 240_000);
  };
  const outageTime = test.clock.now();
  for (let user = 0; user < 10; user++) {
    await addUser(client, `u${user}`);
    await Promise.all(Array.from({ length: 10 }, (_, n) => add(`a${user}-${n}@mouse.com`, `u${user}`)));
    await pass(test, 30_000, 30_000);
  }
  expect(test.clock.now()).toBe(outageTime + 300_000);
  const returnTime = test.clock.now();
  const back = await startRelay({ port: away.port });
  await pass(test, 30_000, 5_000);
  const received = back.received.map(({ to }) => to[0] ?? "");
  const alive = [...aliveUntil].filter(([, until]) => until > returnTime + 30_000).map(([to]) => to);
  expect(alive.length).toBeGreaterThan(50);
  expect(received).toEqual(expect.arrayContaining(alive));
  expect(new Set(received).size).toBe(received.length);
  for (const to of received) expect(aliveUntil.get(to)).toBeGreaterThan(returnTime);
  expect(await states()).not.toContain("queued");
});

it("F20 only the newest code of each authenticator is sent after an outage", async () => {
  const away = await startRelay();
  await away.stop();
  const test = await startTestApp({ environment: smtp(away.port) });
  const client = await test.admin();
  await addUser(client);
  const ids: string[] = [];
  for (const n of [1, 2, 3]) {
    const email = { address: `mini-${n}@mouse.com` };
    ids.push((await client.addOTPEmail({ userId: "u", email })).otpEmailId);
  }
  for (let resend = 0; resend < 3; resend++) {
    await pass(test, 61_000);
    for (const otpEmailId of ids) await client.resendOTPEmailCode({ userId: "u", otpEmailId });
  }
  const back = await startRelay({ port: away.port });
  await pass(test, 61_000);
  expect(back.received.map(({ to }) => to[0]).sort()).toEqual([1, 2, 3].map((n) => `mini-${n}@mouse.com`));
  for (const [n, otpEmailId] of ids.entries()) {
    const mail = back.received.find(({ to }) => to[0] === `mini-${n + 1}@mouse.com`);
    await client.verifyOTPEmail({ userId: "u", otpEmailId, code: await codeOf(mail?.raw) });
  }
});

it("F20 only the newest of three logins of each authenticator gets its code after an outage", async () => {
  const away = await startRelay();
  await away.stop();
  const test = await startTestApp({
    environment: { ...smtp(away.port), COUNTERSIGN_MAIL_INTERVAL: "0s" },
  });
  const client = await test.admin();
  const login = test.challengeClient(await test.token("login", { permissions: ["otp.challenge"] }));
  const newest = new Map<string, { userId: string; otpEmailId: string; challengeId: string }>();
  for (const userId of ["u", "v", "w"]) {
    await addUser(client, userId);
    for (let n = 0; n < 4; n++) {
      const to = `${userId}${n}@mouse.com`;
      const name = { userId, otpEmailId: await addVerified(client, userId, to) };
      for (let i = 0; i < 3; i++) {
        const { challengeId } = await login.createOTPEmailChallenge({
          ...name,
          audience: "https://a.example",
        });
        newest.set(to, { ...name, challengeId });
      }
    }
  }
  await pass(test, 30_000, 15_000);
  const back = await startRelay({ port: away.port });
  await pass(test, 30_000, 15_000);
  const mails = await Promise.all(
    back.received.map(async ({ to, raw }) => ({
      to: to[0] ?? "",
      text: (await simpleParser(raw)).text ?? "",
    })),
  );
  const logins = mails.filter(({ text }) => /^\d{6}$/m.test(text));
  expect(logins.map(({ to }) => to).sort()).toEqual([...newest.keys()].sort());
  for (const { to, text } of logins) {
    const code = /^\d{6}$/m.exec(text)?.[0] ?? "";
    await login.verifyOTPEmailChallenge({ ...newest.get(to)!, code });
  }
});

it("F18 a relay without TLS gets no mail, which callers see, and operators in the log and the metrics", async () => {
  const relay = await startScriptedRelay({});
  const url = `smtp://user:password@0.0.0.0:${relay.port}`;
  const test = await startTestApp({
    environment: { COUNTERSIGN_SMTP_URL: url, COUNTERSIGN_METRICS: "on" },
  });
  const client = await test.admin();
  await addUser(client);
  const { otpEmailId } = await client.addOTPEmail({ userId: "u", email: { address } });
  await pass(test, 60_000);
  expect(await lastMail(client, otpEmailId)).toMatchObject({ state: DeliveryState.DEFERRED, reason: "tls" });
  expect(relay.bytes()).toMatch(/^(EHLO \S+\r\nSTARTTLS\r\n)+$/);
  const alarms = test.logLines.map((line) => JSON.parse(line)).filter(({ reason }) => reason === "tls");
  expect(alarms.length).toBeGreaterThan(0);
  for (const { level } of alarms) expect(["error", 50]).toContain(level);
  await expect.poll(() => metricsOf(test), { timeout: 5_000 }).toMatch(/^countersign_mail_up 0$/m);
  expect(await metricsOf(test)).toMatch(
    /^countersign_mails_total\{purpose="enrolment",state="queued"\} \d+$/m,
  );
});

const copiesOf = (bytes: string) =>
  bytes
    .split("DATA\r\n")
    .slice(1)
    .flatMap((copy) => (copy.includes("\r\n.\r\n") ? [copy.slice(0, copy.indexOf("\r\n.\r\n"))] : []));

/** Starts a service whose relay resets the connection after the first copy of a mail. */
async function startWithFirstCopy() {
  const relay = await startScriptedRelay({ dot: "(reset)" });
  const test = await startTestApp({ environment: smtp(relay.port) });
  const client = await test.admin();
  await addUser(client);
  const { otpEmailId } = await client.addOTPEmail({ userId: "u", email: { address } });
  await waitFor("the first copy", () => copiesOf(relay.bytes()).length === 1);
  await pass(test, 1_000);
  return { relay, test, client, otpEmailId };
}

it("F16 a mail is not sent a second time if its code was used in between", async () => {
  const { relay, test, client, otpEmailId } = await startWithFirstCopy();
  expect(await lastMail(client, otpEmailId)).toMatchObject({ state: DeliveryState.DEFERRED });
  const name = { userId: "u", otpEmailId, code: await codeOf(copiesOf(relay.bytes())[0]) };
  await client.verifyOTPEmail(name);
  relay.script = {};
  await pass(test, 60_000);
  expect(copiesOf(relay.bytes())).toHaveLength(1);
  expect(await lastMail(client, otpEmailId)).toMatchObject({
    state: DeliveryState.SUPPRESSED,
    reason: "code not alive",
  });
  expect(await outcomeOf(client.verifyOTPEmail(name))).toBe("CODE_USED");
  expect((await client.getOTPEmail(name)).otpEmail?.isVerified).toBe(true);
});

it("F16 a second copy of a mail has the same code, which stays used", async () => {
  const { relay, test, client, otpEmailId } = await startWithFirstCopy();
  relay.script = { dot: "(silence)" };
  test.clock.move(2_500);
  await waitFor("the second copy", () => copiesOf(relay.bytes()).length === 2);
  const codes = await Promise.all(copiesOf(relay.bytes()).map(codeOf));
  expect(codes[1]).toBe(codes[0]);
  const name = { userId: "u", otpEmailId, code: codes[0] ?? "" };
  await client.verifyOTPEmail(name);
  relay.say("250 2.0.0 ok");
  await waitFor(
    "the mail is sent",
    async () => (await lastMail(client, otpEmailId))?.state === DeliveryState.SENT,
  );
  expect(await outcomeOf(client.verifyOTPEmail(name))).toBe("CODE_USED");
  expect((await client.getOTPEmail(name)).otpEmail?.isVerified).toBe(true);
});
