import { describe, expect, it, onTestFinished } from "vitest";
import { createCircuitBreaker } from "../../../src/mail/providers/circuit-breaker.ts";
import { sendThrough } from "../../../src/mail/providers/failover.ts";
import { openSenders, type SendersOptions } from "../../../src/mail/providers/senders.ts";
import { createSmtpMailer } from "../../../src/mail/smtp/smtp-mailer.ts";
import { MovableClock } from "../../support/clock.ts";
import { code, from, mail, never } from "../../support/mail/outgoing-mail.ts";
import { refusal, type Script, startRelay, startScriptedRelay } from "../../support/mail/relay.ts";
import { waitFor } from "../../support/wait-for.ts";

const at = ({ port }: { port: number }) => `smtp://127.0.0.1:${port}`;

/** Opens senders that try these relays in order. */
async function open(urls: string[], options: Partial<Omit<SendersOptions, "defaultSender">> = {}) {
  const clock = new MovableClock();
  const logged: string[] = [];
  const senders = await openSenders({
    clock,
    defaultSender: { from, smtpUrl: urls.join(", ") },
    organizations: {},
    log: {
      info: (fields, message) => logged.push(JSON.stringify({ ...fields, message })),
      warn: (fields, message) => logged.push(JSON.stringify({ ...fields, message })),
    },
    ...options,
  });
  onTestFinished(() => senders[Symbol.asyncDispose]());
  const send = (changes = {}) => senders.send({ ...mail, ...changes }, never);
  return { senders, clock, logged, send };
}

async function closedPort(): Promise<{ port: number }> {
  const relay = await startRelay();
  await relay.stop();
  return relay;
}

/** Counts the mails that a scripted relay was offered. Probes offer none. */
const mailsAt = (relay: { bytes(): string }) => relay.bytes().match(/^MAIL FROM/gm)?.length ?? 0;

describe("a mail with several providers", () => {
  it("is sent by the first", async () => {
    const relays = [await startRelay(), await startRelay()];
    const { send } = await open(relays.map(at));
    expect(await send()).toEqual({ kind: "sent" });
    expect(relays.map(({ received }) => received.length)).toEqual([1, 0]);
  });

  it.each<[string, Script]>([
    ["greets with 554", { greeting: "554 5.3.2 no" }],
    ["is going down", { RCPT: "421 4.3.2 going" }],
    ["has no space", { MAIL: "452 4.3.1 full" }],
    ["resets before the message", { DATA: "(reset)" }],
    ["rejects the sender", { MAIL: "553 5.7.1 not yours" }],
    ["defers the message", { dot: "451 4.3.0 later" }],
    ["requires a password", { MAIL: "530 5.7.0 authenticate" }],
  ])("is sent by the next, in the same attempt, if the first %s", async (_name, script) => {
    const first = await startScriptedRelay(script);
    const second = await startRelay();
    const { send } = await open([at(first), at(second)]);
    expect(await send()).toEqual({ kind: "sent" });
    expect(second.received).toMatchObject([{ to: ["mini@mouse.com"] }]);
  });

  it("is sent by the next if the first is down or its name does not resolve", async () => {
    const second = await startRelay();
    const { send } = await open([at(await closedPort()), "smtp://relay.invalid", at(second)]);
    expect(await send()).toEqual({ kind: "sent" });
    expect(second.received).toHaveLength(1);
  });

  it.each<[string, Script, object]>([
    ["rejected permanently", { RCPT: "550 5.1.1 no" }, { kind: "reject", reason: "550 5.1.1 rcpt" }],
    ["called spam", { dot: "554 5.7.1 spam" }, { kind: "reject", reason: "554 5.7.1 data" }],
    ["greylisted", { RCPT: "451 4.7.1 later" }, { kind: "retry", about: "mail", reason: "451 4.7.1 rcpt" }],
  ])("F14, F15 is not sent to the next if it is %s", async (_name, script, expected) => {
    const first = await startScriptedRelay(script);
    const second = await startScriptedRelay({});
    const { send } = await open([at(first), at(second)]);
    expect(await send()).toEqual(expected);
    expect(mailsAt(second)).toBe(0);
  });

  it("F16 is not sent to the next if the first may have it, and later again to the first", async () => {
    const first = await startScriptedRelay({ dot: "(reset)" });
    const second = await startScriptedRelay({});
    const { send } = await open([at(first), at(second)]);
    expect(await send()).toEqual({ kind: "retry", reason: "connection", mayHaveArrived: true });
    first.script = {};
    expect(await send()).toEqual({ kind: "sent" });
    expect(mailsAt(second)).toBe(0);
    expect(first.bytes().match(/^Message-ID: <abc@id.example>/gm)).toHaveLength(2);
  });

  it.each<[string, Script, object]>([
    [
      "rejects the sender as well",
      { MAIL: "550 5.7.1 no" },
      { kind: "reject", about: "sender", reason: "550 5.7.1 mail" },
    ],
    ["defers it", { MAIL: "451 4.3.0 later" }, { kind: "retry", reason: "451 4.3.0 mail" }],
  ])(
    "F15 has the result of the others if the last rejects the sender: every other %s",
    async (_name, script, expected) => {
      const first = await startScriptedRelay(script);
      const last = await startScriptedRelay({ MAIL: "550 5.7.1 no" });
      const { send } = await open([at(first), at(last)]);
      expect(await send()).toEqual(expected);
    },
  );

  it("F12 is retried if all fail", async () => {
    const first = await startScriptedRelay({ MAIL: `451 4.3.0 ${code}` });
    const { send } = await open([at(first), at(await closedPort())]);
    expect(await send()).toEqual({ kind: "retry", reason: "connection" });
  });

  it("T27 is sent by the next if the first has no TLS, which gets no data", async () => {
    const first = await startScriptedRelay({});
    const second = await startRelay();
    // Connects to this machine, but isn't a loopback name.
    const { send } = await open([`smtp://user:password@0.0.0.0:${first.port}`, at(second)]);
    expect(await send()).toEqual({ kind: "sent" });
    for (const secret of ["MAIL", "AUTH", "password", code, mail.to])
      expect(first.bytes()).not.toContain(secret);
  });

  it("F13 times out for all together, which counts against the slow one", async () => {
    const silent = await startScriptedRelay({ MAIL: "(silence)" });
    const next = await startScriptedRelay({});
    const providers = [silent, next].map((relay) => {
      const provider = createSmtpMailer({ url: at(relay), from });
      onTestFinished(() => provider[Symbol.asyncDispose]());
      return {
        name: "relay",
        provider,
        breaker: createCircuitBreaker({ failuresMax: 1, restMs: 1, restMsMax: 1 }),
      };
    });
    const result = await sendThrough(providers, mail, never, { clock: new MovableClock(), sendMs: 300 });
    expect(result).toEqual({ kind: "retry", reason: "timeout" });
    expect(mailsAt(next)).toBe(0);
    expect(providers.map(({ breaker }) => breaker.restsUntil !== undefined)).toEqual([true, false]);
  });

  it("F13 does not count a timeout against a provider that got only the rest of the time", async () => {
    const slow = await startScriptedRelay({ MAIL: "(silence)" });
    const next = await startScriptedRelay({ MAIL: "(silence)" });
    const providers = [
      createSmtpMailer({ url: at(slow), from, timeouts: { commandMs: 200 } }),
      createSmtpMailer({ url: at(next), from }),
    ].map((provider) => {
      onTestFinished(() => provider[Symbol.asyncDispose]());
      const breaker = createCircuitBreaker({ failuresMax: 1, restMs: 1, restMsMax: 1 });
      return { name: "relay", provider, breaker };
    });
    const result = await sendThrough(providers, mail, never, { clock: new MovableClock(), sendMs: 1_000 });
    expect(result).toEqual({ kind: "retry", reason: "timeout" });
    expect(mailsAt(next)).toBe(1);
    expect(providers.map(({ breaker }) => breaker.restsUntil !== undefined)).toEqual([true, false]);
  });

  it("ends on abort", async () => {
    const silent = await startScriptedRelay({ MAIL: "(silence)" });
    const second = await startScriptedRelay({});
    const { senders } = await open([at(silent), at(second)]);
    const stopping = new AbortController();
    const sending = senders.send(mail, stopping.signal);
    await waitFor("the mail at the first", () => mailsAt(silent) === 1);
    stopping.abort();
    expect(await sending).toMatchObject({ kind: "retry" });
    expect(mailsAt(second)).toBe(0);
  });
});

describe("a provider after five consecutive failures", () => {
  it("is skipped, probed after a rest that doubles, and used again when it works", async () => {
    const first = await startScriptedRelay({ MAIL: "451 4.3.0 later" });
    const second = await startRelay();
    const { send, clock, logged } = await open([at(first), at(second)]);
    for (let i = 0; i < 8; i++) expect(await send()).toEqual({ kind: "sent" });
    expect(mailsAt(first)).toBe(5);

    clock.move(2_000);
    for (let i = 0; i < 3; i++) await send();
    expect(mailsAt(first)).toBe(6);
    clock.move(2_000);
    await send();
    expect(mailsAt(first)).toBe(6);

    first.script = {};
    clock.move(2_000);
    for (let i = 0; i < 3; i++) await send();
    expect(mailsAt(first)).toBe(9);
    expect(second.received).toHaveLength(8 + 3 + 1);
    expect(logged).toEqual([
      expect.stringContaining(`"provider":"smtp 127.0.0.1:${first.port}","message":"a mail provider fails`),
      expect.stringContaining(
        `"provider":"smtp 127.0.0.1:${first.port}","message":"a mail provider is back"`,
      ),
    ]);
  });

  it("makes senders unhealthy only if all are skipped", async () => {
    const first = await startScriptedRelay({ MAIL: "451 4.3.0 later" });
    const second = await startScriptedRelay({ MAIL: "451 4.3.0 later" });
    const { senders, send, clock } = await open([at(first), at(second)]);
    for (let i = 0; i < 4; i++) await send();
    expect(senders.isHealthy()).toBe(true);
    await send();
    expect(senders.isHealthy()).toBe(false);
    second.script = {};
    clock.move(2_000);
    expect(await send()).toEqual({ kind: "sent" });
    expect(senders.isHealthy()).toBe(true);
  });

  it("F12 is still tried if there is no other", async () => {
    const relay = await startScriptedRelay({ MAIL: "451 4.3.0 later" });
    const { send } = await open([at(relay)]);
    for (let i = 0; i < 6; i++) expect(await send()).toMatchObject({ kind: "retry" });
    relay.script = {};
    expect(await send()).toEqual({ kind: "sent" });
  });

  it("is not skipped for rejected mails", async () => {
    const first = await startScriptedRelay({ RCPT: "550 5.1.1 no" });
    const second = await startScriptedRelay({});
    const { send } = await open([at(first), at(second)]);
    for (let i = 0; i < 7; i++) expect(await send()).toMatchObject({ kind: "reject" });
    expect(mailsAt(second)).toBe(0);
  });
});

describe("an organization", () => {
  const own = { from: { name: "Acme", address: "login@acme.example" } };

  it("has its own sender and provider", async () => {
    const defaultRelay = await startRelay();
    const acme = await startRelay();
    const { send } = await open([at(defaultRelay)], {
      organizations: { acme: { ...own, smtpUrl: at(acme) } },
    });
    expect(await send({ orgId: "acme" })).toEqual({ kind: "sent" });
    expect(await send({ orgId: "other" })).toEqual({ kind: "sent" });
    expect(await send()).toEqual({ kind: "sent" });
    expect(acme.received.map(({ from }) => from)).toEqual(["login@acme.example"]);
    expect(acme.received[0]?.raw).toContain("From: Acme <login@acme.example>");
    expect(defaultRelay.received.map(({ from }) => from)).toEqual(["codes@example.com", "codes@example.com"]);
  });

  it("uses its own sender with the default provider", async () => {
    const defaultRelay = await startRelay();
    const { send } = await open([at(defaultRelay)], { organizations: { acme: own } });
    await send({ orgId: "acme" });
    expect(defaultRelay.received.map(({ from }) => from)).toEqual(["login@acme.example"]);
  });

  it("falls back to the default sender if the default provider rejects its own", async () => {
    const asked: string[] = [];
    const defaultRelay = await startRelay({
      onMailFrom({ address }, _session, callback) {
        asked.push(address);
        callback(address === "login@acme.example" ? refusal(550, "5.7.1 not yours") : null);
      },
    });
    const { send } = await open([at(defaultRelay)], { organizations: { acme: own } });
    expect(await send({ orgId: "acme" })).toEqual({ kind: "sent" });
    expect(asked).toEqual(["login@acme.example", "codes@example.com"]);
    expect(defaultRelay.received.map(({ from }) => from)).toEqual(["codes@example.com"]);
    expect(defaultRelay.received[0]?.raw).toContain("From: Countersign <codes@example.com>");
  });

  it.each([
    ["fails", "451 4.3.0 later", "retry"],
    ["rejects the mail", "550 5.1.1 unknown", "reject"],
  ])("does not try the default provider again with another sender if it %s", async (_name, reply, kind) => {
    const defaultRelay = await startScriptedRelay({ RCPT: reply });
    const { send } = await open([at(defaultRelay)], { organizations: { acme: own } });
    expect(await send({ orgId: "acme" })).toMatchObject({ kind });
    expect(defaultRelay.bytes()).toContain("MAIL FROM:<login@acme.example>");
    expect(defaultRelay.bytes()).not.toContain("codes@example.com");
  });

  it("falls back to the default provider and sender if its own fails", async () => {
    const defaultRelay = await startRelay();
    const { send } = await open([at(defaultRelay)], {
      organizations: { acme: { ...own, smtpUrl: at(await closedPort()) } },
    });
    expect(await send({ orgId: "acme" })).toEqual({ kind: "sent" });
    expect(defaultRelay.received.map(({ from }) => from)).toEqual(["codes@example.com"]);
  });

  it("falls back if its own provider rejects its sender", async () => {
    const defaultRelay = await startRelay();
    const acme = await startScriptedRelay({ MAIL: "550 5.7.1 not yours" });
    const { send } = await open([at(defaultRelay)], {
      organizations: { acme: { ...own, smtpUrl: at(acme) } },
    });
    expect(await send({ orgId: "acme" })).toEqual({ kind: "sent" });
    expect(defaultRelay.received[0]?.raw).toContain("From: Countersign <codes@example.com>");
  });

  it("sends mails with their return path, through any provider", async () => {
    const defaultRelay = await startRelay();
    const acme = await startRelay();
    const { send } = await open([at(defaultRelay)], {
      organizations: { acme: { ...own, smtpUrl: at(acme) } },
    });
    const envelopeFrom = "bounces+163840776835432705-0a1b@example.com";
    expect(await send({ orgId: "acme", envelopeFrom })).toEqual({ kind: "sent" });
    await acme.stop();
    expect(await send({ orgId: "acme", envelopeFrom })).toEqual({ kind: "sent" });
    expect([acme, defaultRelay].map(({ received }) => received.map(({ from }) => from))).toEqual([
      [envelopeFrom],
      [envelopeFrom],
    ]);
    expect(acme.received[0]?.raw).toContain("From: Acme <login@acme.example>");
  });

  it("does not fall back if its own provider rejects the mail", async () => {
    const defaultRelay = await startRelay();
    const acme = await startRelay({
      onMail: () => {
        throw refusal(554, "no");
      },
    });
    const { send } = await open([at(defaultRelay)], {
      organizations: { acme: { ...own, smtpUrl: at(acme) } },
    });
    expect(await send({ orgId: "acme" })).toMatchObject({ kind: "reject" });
    expect(defaultRelay.received).toEqual([]);
  });

  it.each(["__proto__", "constructor", "toString"])("may be named %s", async (orgId) => {
    const defaultRelay = await startRelay();
    const { send } = await open([at(defaultRelay)]);
    expect(await send({ orgId })).toEqual({ kind: "sent" });
  });
});
