import { simpleParser } from "mailparser";
import { describe, expect, it, onTestFinished } from "vitest";
import { parseEmailAddress } from "../../../src/lib/email-address.ts";
import { openSenders } from "../../../src/mail/providers/senders.ts";
import { createSmtpMailer } from "../../../src/mail/smtp/smtp-mailer.ts";
import { MovableClock } from "../../support/clock.ts";
import { from, mail, never } from "../../support/mail/outgoing-mail.ts";
import { startRelay, startScriptedRelay } from "../../support/mail/relay.ts";
import { waitFor } from "../../support/wait-for.ts";

const offering = { EHLO: "250-relay.test\n250 SMTPUTF8" };
const to = "δοκιμή@xn--hxajbheg2az3al.xn--jxalpdlp";
const ehlo = "EHLO mail.example.com\r\n";

function createMailer({ port }: { port: number }) {
  const mailer = createSmtpMailer({ url: `smtp://127.0.0.1:${port}`, from, name: "mail.example.com" });
  onTestFinished(() => mailer[Symbol.asyncDispose]());
  return mailer;
}

/** What the relay received before the message. */
const dialogueOf = (relay: { bytes(): string }) =>
  Buffer.from(relay.bytes(), "latin1").toString("utf8").split("DATA\r\n")[0]!;

describe("a mail to a non-ASCII local part (RFC 6531)", () => {
  it("T21, T26 takes exactly EHLO, MAIL with SMTPUTF8, one RCPT with the canonical address, and DATA", async () => {
    const parsed = parseEmailAddress("δοκιμή@παράδειγμα.δοκιμή", { utf8: true });
    expect(parsed).toMatchObject({ ok: true, address: { mailbox: to, canonical: to } });
    const relay = await startScriptedRelay(offering);
    const mailer = createMailer(relay);
    await mailer.probe();
    await mailer.send({ ...mail, to }, never);
    const [probe, dialogue] = dialogueOf(relay).split("QUIT\r\n");
    expect(probe).toBe(ehlo);
    expect(dialogue).toBe(`${ehlo}MAIL FROM:<codes@example.com> SMTPUTF8\r\nRCPT TO:<${to}>\r\n`);
  });

  it("arrives with the address in its header", async () => {
    const relay = await startRelay();
    expect(await createMailer(relay).send({ ...mail, to }, never)).toEqual({ kind: "sent" });
    expect(relay.received).toHaveLength(1);
    const parsed = await simpleParser(Buffer.from(relay.received[0]!.raw, "latin1"));
    expect(parsed.to).toMatchObject({ value: [{ address: expect.stringMatching(/^δοκιμή@/), name: "" }] });
  });

  it.each([
    ["does not offer it", { EHLO: "250-relay.test\n250 8BITMIME" }],
    ["offers an extension with a longer name", { EHLO: "250 SMTPUTF8X" }],
    ["knows no EHLO", { EHLO: "502 no", HELO: "250 SMTPUTF8" }],
  ])("is not sent to a relay that %s", async (_name, script) => {
    const relay = await startScriptedRelay(script);
    const mailer = createMailer(relay);
    const result = await mailer.send({ ...mail, to }, never);
    expect(result).toEqual({ kind: "retry", about: "mail", reason: "smtputf8" });
    expect(mailer.takesUtf8()).toBe(false);
    expect(relay.bytes()).not.toContain("MAIL");
  });

  it("F12 waits for a relay that is down", async () => {
    const relay = await startRelay();
    await relay.stop();
    const result = await createMailer(relay).send({ ...mail, to }, never);
    expect(result).toEqual({ kind: "retry", reason: "connection" });
  });

  it("ends on abort while the relay is probed", async () => {
    const relay = await startScriptedRelay({ EHLO: "(silence)" });
    const stopping = new AbortController();
    const sending = createMailer(relay).send({ ...mail, to }, stopping.signal);
    await waitFor("EHLO", () => relay.bytes().includes("EHLO"));
    stopping.abort();
    expect(await sending).toMatchObject({ kind: "retry" });
  });

  it("T21 is rejected if it could be anything but one recipient", async () => {
    const relay = await startScriptedRelay(offering);
    const mailer = createMailer(relay);
    await mailer.probe();
    const connections = relay.connections;
    for (const wrong of [
      "δ,ο@x.io",
      "δ ο@x.io",
      "δ>\r\nRCPT TO:<b@x.io",
      "δ\u200b@x.io",
      "δ@παράδειγμα.δοκιμή",
      "a@\u212a.io",
    ]) {
      expect(await mailer.send({ ...mail, to: wrong }, never)).toEqual({ kind: "reject", reason: "address" });
    }
    expect(relay.connections).toBe(connections);
  });
});

describe("what a relay offers", () => {
  it("is unknown before its greeting, and updated with each connection", async () => {
    const relay = await startScriptedRelay(offering);
    const mailer = createMailer(relay);
    expect(mailer.takesUtf8()).toBeUndefined();
    await mailer.probe();
    expect(mailer.takesUtf8()).toBe(true);
    relay.script = {};
    expect(await mailer.send(mail, never)).toEqual({ kind: "sent" });
    expect(mailer.takesUtf8()).toBe(false);
  });

  it("is probed at the start, and again after a minute without an answer", async () => {
    const gone = await startRelay();
    await gone.stop();
    const clock = new MovableClock();
    const log = { info() {}, warn() {} };
    const defaultSender = { from, smtpUrl: `smtp://127.0.0.1:${gone.port}` };
    const senders = await openSenders({ clock, log, defaultSender, organizations: {} });
    onTestFinished(() => senders[Symbol.asyncDispose]());
    expect(senders.takesUtf8()).toBe(false);
    await startRelay({ port: gone.port });
    await waitFor("the second probe", () => {
      clock.move(60_000);
      return senders.takesUtf8();
    });
  });

  it("decides which of several relays sends the mail", async () => {
    const plain = await startScriptedRelay({});
    const able = await startRelay();
    const defaultSender = { from, smtpUrl: `smtp://127.0.0.1:${plain.port} smtp://127.0.0.1:${able.port}` };
    const log = { info() {}, warn() {} };
    const senders = await openSenders({ clock: new MovableClock(), log, defaultSender, organizations: {} });
    onTestFinished(() => senders[Symbol.asyncDispose]());
    await waitFor("both answers", () => senders.takesUtf8());
    expect(await senders.send({ ...mail, to }, never)).toEqual({ kind: "sent" });
    expect(able.received).toHaveLength(1);
    expect(plain.bytes()).not.toContain("MAIL");
  });
});
