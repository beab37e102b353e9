import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { TLSSocket } from "node:tls";
import { simpleParser } from "mailparser";
import { describe, expect, it, onTestFinished } from "vitest";
import { isLoopback } from "../../../src/lib/loopback.ts";
import type { OutgoingMail } from "../../../src/mail/mailer.ts";
import { parseRelay } from "../../../src/mail/smtp/relay.ts";
import { createSmtpMailer, type SmtpMailerOptions } from "../../../src/mail/smtp/smtp-mailer.ts";
import { code, from, mail, never } from "../../support/mail/outgoing-mail.ts";
import {
  certificate,
  listen,
  type ReceivedMail,
  refusal,
  type Script,
  startDeafListener,
  startRelay,
  startScriptedRelay,
  startTap,
} from "../../support/mail/relay.ts";
import { waitFor } from "../../support/wait-for.ts";

function createMailer(url: string, options: Partial<SmtpMailerOptions> = {}) {
  const mailer = createSmtpMailer({ url, from, ...options });
  onTestFinished(() => mailer[Symbol.asyncDispose]());
  return mailer;
}

const clearText = (port: number) => `smtp://127.0.0.1:${port}`;

/** Sends a mail and returns it as the relay received it. */
async function received(changes: Partial<OutgoingMail> = {}, options?: Partial<SmtpMailerOptions>) {
  const relay = await startRelay();
  const mailer = createMailer(clearText(relay.port), options);
  expect(await mailer.send({ ...mail, ...changes }, never)).toEqual({ kind: "sent" });
  expect(relay.received).toHaveLength(1);
  return relay.received[0]!;
}

/** Unfolded header fields, by lower-case name. */
function headersOf({ raw }: ReceivedMail): Map<string, string[]> {
  const head = raw.slice(0, raw.indexOf("\r\n\r\n")).replace(/\r\n[ \t]+/g, " ");
  const fields = new Map<string, string[]>();
  for (const line of head.split("\r\n")) {
    const [name = "", ...rest] = line.split(": ");
    const values = fields.get(name.toLowerCase()) ?? [];
    fields.set(name.toLowerCase(), [...values, rest.join(": ")]);
  }
  return fields;
}

describe("a mail on the wire", () => {
  it("has each header field once, and no others (RFC 5322 §3.6, RFC 3834 §5)", async () => {
    const headers = headersOf(await received());
    expect(Object.fromEntries(headers)).toEqual({
      from: ["Countersign <codes@example.com>"],
      to: ["mini@mouse.com"],
      subject: ["Your code"],
      "message-id": ["<abc@id.example>"],
      date: ["Mon, 23 Nov 2026 09:00:00 +0000"],
      "mime-version": ["1.0"],
      "auto-submitted": ["auto-generated"],
      "content-type": [expect.stringMatching(/^multipart\/alternative; boundary="[^"]+"$/)],
    });
  });

  it("goes from the sender to the one recipient", async () => {
    expect(await received()).toMatchObject({ from: "codes@example.com", to: ["mini@mouse.com"] });
  });

  it("has a text and an HTML part in UTF-8", async () => {
    const { raw } = await received({ text: "Füße: ✓\n", html: "<p>Füße: ✓</p>" });
    const types = raw.match(/^Content-Type: text\/.*$/gim);
    expect(types).toEqual([
      "Content-Type: text/plain; charset=utf-8",
      "Content-Type: text/html; charset=utf-8",
    ]);
    expect(await simpleParser(raw)).toMatchObject({ text: "Füße: ✓\n", html: "<p>Füße: ✓</p>" });
  });

  it.each<[string, string]>([
    ["a line that is a dot", "before\n.\nafter\n"],
    ["lines that begin with dots", "..\n.a\n"],
    ["a line of 2000 characters", `${"x".repeat(2000)}\n`],
    ["a line of 2000 non-ASCII characters", `${"ü".repeat(2000)}\n`],
    ["an end of data and a command", "a\r\n.\r\nMAIL FROM:<e@evil.example>\r\n"],
    ["lone line breaks", "a\rb\nc\r\nd\n"],
    ["blanks at the end of lines", "a  \nb\t\n"],
    ["a line like a boundary", "--\n----_NmP\n"],
  ])("arrives unchanged, in short lines with CRLF: %s", async (_name, text) => {
    const { raw } = await received({ text });
    expect(raw.replaceAll("\r\n", "")).not.toMatch(/[\r\n]/);
    expect(Math.max(...raw.split("\r\n").map((line) => line.length))).toBeLessThanOrEqual(998);
    const parsed = await simpleParser(raw);
    expect(parsed.text?.trimEnd()).toBe(text.replace(/\r\n?/g, "\n").trimEnd());
  });

  it.each([
    ["a\r\nBcc: e@evil.example"],
    ["a\nX-Evil: 1"],
    ["a\u0000b"],
    ["\u202eabc"],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is attacker input.
    ["<a href=//evil>x</a> {{7*7}} ${7*7} <%=7%>"],
    ["Schlüssel für Ünïcödé"],
    ["x".repeat(10_000)],
  ])("T23 keeps a subject in its header field: %j", async (subject) => {
    const headers = headersOf(await received({ subject }));
    expect([...headers.keys()].sort()).toEqual([
      "auto-submitted",
      "content-type",
      "date",
      "from",
      "message-id",
      "mime-version",
      "subject",
      "to",
    ]);
    expect(headers.get("to")).toEqual(["mini@mouse.com"]);
  });

  it("T26 keeps a Message-ID in its header field", async () => {
    const headers = headersOf(await received({ messageId: "<a@id.example>\r\nBcc: <e@evil.example>" }));
    expect(headers.has("bcc")).toBe(false);
    expect(headers.get("message-id")).toHaveLength(1);
  });

  it("has the name of the sender, also if it is not ASCII", async () => {
    const from = { name: "Zürich, Codes", address: "codes@example.com" };
    const parsed = await simpleParser((await received({}, { from })).raw);
    expect(parsed.from?.value).toEqual([from]);
  });

  it("treats names of files and URLs as text", async () => {
    const text = "file:///etc/passwd";
    expect((await simpleParser((await received({ text, html: "http://127.0.0.1/" })).raw)).text).toBe(text);
  });
});

describe("a recipient", () => {
  it.each([
    ["a@x.io"],
    ["A.b+tag@example.org"],
    ["o'hara@x.io"],
    ["a_b-c@sub.x.io"],
    ["a@xn--bcher-kva.example"],
    ["a!b%c{d}@x.io"],
  ])("T21 is sent unchanged in a single RCPT TO: %s", async (to) => {
    const relay = await startScriptedRelay({});
    expect(await createMailer(clearText(relay.port)).send({ ...mail, to }, never)).toEqual({ kind: "sent" });
    expect(relay.bytes().match(/^RCPT TO:.*$/gim)).toEqual([`RCPT TO:<${to}>\r`].map((line) => line.trim()));
  });

  it.each([
    [""],
    ["a"],
    ["@x.io"],
    ["a@"],
    ["attacker@attacker.com,victim@victim.com"],
    ['"e@attacker.com"@victim.com'],
    ['"xclow3n@gmail.com x"@internal.domain'],
    ["user@example.com(x)evil.com"],
    ["group: a@x.io, b@y.io;"],
    ["a@x.io;b@y.io"],
    ["a@x.io b@y.io"],
    ["Name <a@x.io>"],
    ["a@x.io>\r\nRCPT TO:<b@y.io"],
    ["a@x.io\r\nBcc: b@y.io"],
    ["a@x.io\n"],
    ["a@x.io\u0000.evil.com"],
    ["a＠x.io"],
    ["a@x。io"],
    ["a@[127.0.0.1]"],
    [`${"a".repeat(250)}@x.io`],
  ])("T21, T26 is rejected without a connection: %j", async (to) => {
    const relay = await startScriptedRelay({});
    const result = await createMailer(clearText(relay.port)).send({ ...mail, to }, never);
    expect(result).toEqual({ kind: "reject", reason: "address" });
    expect(relay.connections).toBe(0);
  });

  it("T26 takes exactly EHLO, MAIL, RCPT, DATA and the message", async () => {
    const relay = await startScriptedRelay({});
    const mailer = createMailer(clearText(relay.port), { name: "mail.example.com" });
    await mailer.send(mail, never);
    const [dialogue = "", message = ""] = relay.bytes().split("DATA\r\n");
    expect(dialogue).toBe(
      "EHLO mail.example.com\r\nMAIL FROM:<codes@example.com>\r\nRCPT TO:<mini@mouse.com>\r\n",
    );
    expect(message.indexOf("\r\n.\r\n")).toBe(message.length - 5);
  });
});

describe("the reply of the relay", () => {
  const secret = `${code} mini@mouse.com`;

  it.each<[string, Script, { kind: string; about?: string; reason: string }]>([
    ["greeting 4yz", { greeting: `421 4.3.2 ${secret}` }, { kind: "retry", reason: "421 4.3.2 greeting" }],
    ["greeting 5yz", { greeting: `554 5.7.1 ${secret}` }, { kind: "retry", reason: "554 5.7.1 greeting" }],
    ["no SMTP", { greeting: "SSH-2.0-x" }, { kind: "retry", reason: "connection" }],
    ["EHLO and HELO 5yz", { EHLO: "554 no", HELO: "550 no" }, { kind: "retry", reason: "550 greeting" }],
    ["EHLO 421", { EHLO: "421 4.7.0 later" }, { kind: "retry", reason: "421 4.7.0 greeting" }],
    ["MAIL 4yz", { MAIL: `451 4.7.1 ${secret}` }, { kind: "retry", reason: "451 4.7.1 mail" }],
    ["MAIL 530", { MAIL: "530 5.7.0 authenticate" }, { kind: "retry", reason: "530 5.7.0 mail" }],
    [
      "MAIL 5yz",
      { MAIL: "550 5.7.1 not you" },
      { kind: "reject", about: "sender", reason: "550 5.7.1 mail" },
    ],
    ["MAIL 503", { MAIL: "503 5.5.1 sequence" }, { kind: "retry", reason: "503 5.5.1 mail" }],
    ["RCPT 450", { RCPT: `450 4.2.0 ${secret}` }, { kind: "retry", about: "mail", reason: "450 4.2.0 rcpt" }],
    ["RCPT 451", { RCPT: "451 greylisted" }, { kind: "retry", about: "mail", reason: "451 rcpt" }],
    ["RCPT 452", { RCPT: "452 4.2.2 full" }, { kind: "retry", about: "mail", reason: "452 4.2.2 rcpt" }],
    ["RCPT 421", { RCPT: "421 4.3.2 going" }, { kind: "retry", reason: "421 4.3.2 rcpt" }],
    ["RCPT 550", { RCPT: `550 5.1.1 <${secret}>` }, { kind: "reject", reason: "550 5.1.1 rcpt" }],
    [
      "RCPT 550 in lines",
      { RCPT: `550-5.1.1 ${secret}\n550 5.1.1 no` },
      { kind: "reject", reason: "550 5.1.1 rcpt" },
    ],
    ["RCPT 551", { RCPT: "551 5.1.6 moved" }, { kind: "reject", reason: "551 5.1.6 rcpt" }],
    ["RCPT 552", { RCPT: "552 5.2.2 full" }, { kind: "reject", reason: "552 5.2.2 rcpt" }],
    ["RCPT 553", { RCPT: "553 odd" }, { kind: "reject", reason: "553 rcpt" }],
    ["DATA 4yz", { DATA: "451 4.3.0 later" }, { kind: "retry", reason: "451 4.3.0 data" }],
    ["DATA 5yz", { DATA: "554 5.5.1 no" }, { kind: "reject", reason: "554 5.5.1 data" }],
    ["dot 4yz", { dot: `451 4.7.0 ${secret}` }, { kind: "retry", reason: "451 4.7.0 data" }],
    ["dot 5yz", { dot: `554 5.7.1 spam: ${secret}` }, { kind: "reject", reason: "554 5.7.1 data" }],
    ["malformed status", { RCPT: `550 5.1.1${code}` }, { kind: "reject", reason: "550 rcpt" }],
  ])("determines the result: %s", async (_name, script, expected) => {
    const relay = await startScriptedRelay(script);
    const result = await createMailer(clearText(relay.port)).send(mail, never);
    expect(result).toEqual(expected);
    expect(JSON.stringify(result)).not.toContain(code);
  });

  it("determines the result also with pipelining (RFC 2920)", async () => {
    const relay = await startScriptedRelay({
      EHLO: "250-relay.test\n250 PIPELINING",
      RCPT: "550 5.1.1 no",
      DATA: "503 5.5.1 no recipients",
    });
    const result = await createMailer(clearText(relay.port)).send(mail, never);
    expect(result).toEqual({ kind: "reject", reason: "550 5.1.1 rcpt" });
  });
});

describe("a connection that breaks", () => {
  it.each<[keyof Script]>([["greeting"], ["EHLO"], ["MAIL"], ["RCPT"], ["DATA"]])(
    "F16 causes a retry: at %s",
    async (point) => {
      const relay = await startScriptedRelay({ [point]: "(reset)" });
      const result = await createMailer(clearText(relay.port)).send(mail, never);
      expect(result).toEqual({ kind: "retry", reason: "connection" });
    },
  );

  it("F16 causes a retry: amid a message that is larger than all buffers", async () => {
    const relay = await startScriptedRelay({ body: "(reset)" });
    const text = "x".repeat(16 * 1024 * 1024);
    const result = await createMailer(clearText(relay.port)).send({ ...mail, text }, never);
    expect(result).toEqual({ kind: "retry", reason: "connection" });
  });

  it("F16 causes a retry of a mail that may have arrived: after the final dot", async () => {
    const relay = await startScriptedRelay({ dot: "(reset)" });
    const result = await createMailer(clearText(relay.port)).send(mail, never);
    expect(result).toEqual({ kind: "retry", reason: "connection", mayHaveArrived: true });
  });

  it("F12 causes a retry if the port is closed, until it is open", async () => {
    const relay = await startRelay();
    await relay.stop();
    const mailer = createMailer(clearText(relay.port));
    expect(await mailer.send(mail, never)).toEqual({ kind: "retry", reason: "connection" });
    const back = await startRelay({ port: relay.port });
    expect(await mailer.send(mail, never)).toEqual({ kind: "sent" });
    expect(back.received).toHaveLength(1);
  });

  it("F12 causes a retry if the name does not resolve", async () => {
    const mailer = createMailer("smtp://relay.invalid:25");
    expect(await mailer.send(mail, never)).toMatchObject({ kind: "retry" });
  });
});

describe("a relay that violates the protocol", () => {
  const replies: readonly [string, string][] = [
    ["garbage", "\u0000\u0007what?"],
    ["a line that is too long", `250 ${"x".repeat(2 ** 20)}`],
    ["too many lines", `${`250-${"x".repeat(500)}\n`.repeat(2_000)}250 end`],
  ];
  const points = ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "dot"] as const;

  it.each(points.flatMap((point) => replies.map(([name, reply]) => [name, point, reply] as const)))(
    "F13 causes a retry: %s at %s",
    async (_name, point, reply) => {
      const bad: Script = point === "EHLO" ? { EHLO: reply, HELO: reply } : { [point]: reply };
      const relay = await startScriptedRelay(bad);
      const mailer = createMailer(clearText(relay.port), { timeouts: { greetingMs: 500, commandMs: 500 } });
      const result = await mailer.send(mail, never);
      expect(result).toMatchObject({ kind: "retry", ...(point === "dot" && { mayHaveArrived: true }) });
      relay.script = {};
      expect(await mailer.send(mail, never)).toEqual({ kind: "sent" });
    },
  );

  const auth = { EHLO: "250-r\n250 AUTH PLAIN" };
  it.each<[string, Script, object]>([
    ["250 as greeting", { greeting: "250 ok" }, { reason: "250 greeting" }],
    ["354 to EHLO and HELO", { EHLO: "354 go on", HELO: "354 go on" }, { reason: "354 greeting" }],
    ["334 to AUTH, without end", { ...auth, AUTH: "334 " }, { reason: "502 5.5.1 auth" }],
    ["354 to AUTH", { ...auth, AUTH: "354 go on" }, { reason: "354 auth" }],
    ["354 to MAIL", { MAIL: "354 go on" }, { reason: "354 mail" }],
    ["221 to MAIL", { MAIL: "221 bye" }, { reason: "connection" }],
    ["354 to RCPT", { RCPT: "354 go on" }, { reason: "354 rcpt" }],
    ["221 to RCPT", { RCPT: "221 bye" }, { reason: "connection" }],
    ["250 to DATA", { DATA: "250 ok" }, { reason: "connection" }],
    ["334 to DATA", { DATA: "334 " }, { reason: "connection" }],
    ["221 to DATA", { DATA: "221 bye" }, { reason: "connection" }],
    [
      "250 to DATA, with pipelining",
      { EHLO: "250-r\n250 PIPELINING", DATA: "250 ok" },
      { reason: "connection" },
    ],
    ["354 to the message", { dot: "354 go on" }, { reason: "354 data" }],
    ["221 to the message", { dot: "221 bye" }, { reason: "221 data", mayHaveArrived: true }],
    ["150 to the message", { dot: "150 wait" }, { reason: "150 data" }],
  ])("F13 causes a retry, and the mail does not count as sent: %s", async (name, script, failure) => {
    const relay = await startScriptedRelay(script);
    const url = clearText(relay.port).replace("//", "//user:password@");
    const mailer = createMailer(url, { timeouts: { greetingMs: 500, commandMs: 500 } });
    expect(await mailer.send(mail, never)).toMatchObject({ kind: "retry", ...failure });
    expect(relay.bytes().includes(code)).toBe(name.endsWith("the message"));
    relay.script = {};
    expect(await mailer.send(mail, never)).toEqual({ kind: "sent" });
  });

  it.each(["EHLO", "MAIL", "RCPT", "DATA", "dot"] as const)(
    "F13, I6 is disconnected during an endless reply to %s",
    async (point) => {
      const chunk = `250-${"x".repeat(500)}\r\n`.repeat(120);
      let written = () => 0;
      const port = await listen((socket) => {
        const replies = [
          ["dot", "\r\n.\r\n", ""],
          ["DATA", "DATA\r\n", "354 go on"],
          ["RCPT", "RCPT TO", "250 ok"],
          ["MAIL", "MAIL FROM", "250 ok"],
          ["EHLO", "EHLO", "250 r"],
        ] as const;
        let input = "";
        let last: string | undefined;
        socket.on("data", (data) => {
          input += data.toString("latin1");
          const [step, , reply] = replies.find(([, text]) => input.includes(text)) ?? [];
          // The message arrives in several chunks.
          if (step === last) return;
          last = step;
          if (step === point) written = writeEndlessly(socket, chunk);
          else if (reply) socket.write(`${reply}\r\n`);
        });
        socket.write("220 r\r\n");
      });
      expect(await createMailer(clearText(port)).send(mail, never)).toMatchObject({ kind: "retry" });
      expect(written()).toBeGreaterThan(0);
      expect(written()).toBeLessThan(2 ** 26);
    },
  );

  it.each([
    ["line", "x".repeat(65_536)],
    ["reply of lines", `220-${"x".repeat(500)}\r\n`.repeat(120)],
  ])("F13, I6 is disconnected during an endless %s, before it takes up memory", async (_name, chunk) => {
    let written = () => 0;
    const port = await listen((socket) => {
      socket.write("220-");
      written = writeEndlessly(socket, chunk);
    });
    expect(await createMailer(clearText(port)).send(mail, never)).toEqual({
      kind: "retry",
      reason: "connection",
    });
    expect(written()).toBeLessThan(2 ** 26);
  });
});

/** Writes a chunk again and again until the socket is destroyed. Returns how many bytes were written so far. */
function writeEndlessly(socket: Socket, chunk: string): () => number {
  let written = 0;
  const write = () => {
    while (!socket.destroyed && written < 2 ** 28) {
      written += chunk.length;
      if (!socket.write(chunk)) return;
    }
  };
  socket.on("drain", write);
  write();
  return () => written;
}

describe("a relay that is too slow", () => {
  // Longer than a test may take, so that only the timeout under test can end an attempt.
  const forever = 600_000;
  const timeouts = {
    connectMs: forever,
    greetingMs: forever,
    commandMs: forever,
    messageMs: forever,
    sendMs: forever,
  };

  it.each<[string, Script, Partial<typeof timeouts>]>([
    ["no greeting", { greeting: "(silence)" }, { greetingMs: 50 }],
    ["no reply to EHLO", { EHLO: "(silence)" }, { commandMs: 50 }],
    ["no reply to MAIL", { MAIL: "(silence)" }, { commandMs: 50 }],
    ["no reply to RCPT", { RCPT: "(silence)" }, { commandMs: 50 }],
    ["no reply to DATA", { DATA: "(silence)" }, { commandMs: 50 }],
    ["nothing within the limit for the attempt", { DATA: "(silence)" }, { sendMs: 300 }],
  ])("F13 causes a timeout: %s", async (_name, script, limit) => {
    const relay = await startScriptedRelay(script);
    const mailer = createMailer(clearText(relay.port), { timeouts: { ...timeouts, ...limit } });
    expect(await mailer.send(mail, never)).toEqual({ kind: "retry", reason: "timeout" });
  });

  it.each<[string, Partial<typeof timeouts>]>([
    ["no reply to the message", { messageMs: 50 }],
    ["nothing within the limit for the attempt, after the message", { sendMs: 300 }],
  ])("F13 causes a timeout of a mail that may have arrived: %s", async (_name, limit) => {
    const relay = await startScriptedRelay({ dot: "(silence)" });
    const mailer = createMailer(clearText(relay.port), { timeouts: { ...timeouts, ...limit } });
    expect(await mailer.send(mail, never)).toEqual({
      kind: "retry",
      reason: "timeout",
      mayHaveArrived: true,
    });
  });

  it("F13 causes a timeout: no connection", async () => {
    const mailer = createMailer(clearText(await startDeafListener()), {
      timeouts: { ...timeouts, connectMs: 200 },
    });
    expect(await mailer.send(mail, never)).toEqual({ kind: "retry", reason: "timeout" });
  });

  it("F13 causes a timeout: one byte at a time", async () => {
    const port = await listen((socket) => {
      const timer = setInterval(() => socket.write("2"), 20);
      socket.on("close", () => clearInterval(timer));
    });
    const mailer = createMailer(clearText(port), { timeouts: { ...timeouts, sendMs: 400 } });
    expect(await mailer.send(mail, never)).toEqual({ kind: "retry", reason: "timeout" });
  });

  it("F13 causes a timeout over TLS: no reply to RCPT", async () => {
    const relay = await startRelay({ ...certificate("relay"), secure: true, onRcptTo: () => {} });
    const mailer = createMailer(`smtps://localhost:${relay.port}`, {
      ca: certificate("relay").cert,
      timeouts: { ...timeouts, commandMs: 100 },
    });
    expect(await mailer.send(mail, never)).toEqual({ kind: "retry", reason: "timeout" });
  });

  it("may take longer for the message than for a command", async () => {
    const relay = await startRelay({ onMail: () => sleep(900) });
    const mailer = createMailer(clearText(relay.port), { timeouts: { ...timeouts, commandMs: 600 } });
    expect(await mailer.send(mail, never)).toEqual({ kind: "sent" });
  });

  it("does not block another mail", async () => {
    const slow = await startScriptedRelay({ RCPT: "(silence)" });
    const mailer = createMailer(clearText(slow.port), { timeouts });
    const abort = new AbortController();
    const first = mailer.send(mail, abort.signal);
    await waitFor("the first mail is under way", () => slow.bytes().includes("RCPT"));
    slow.script = {};
    expect(await mailer.send(mail, never)).toEqual({ kind: "sent" });
    abort.abort();
    expect(await first).toEqual({ kind: "retry", reason: "aborted" });
  });
});

describe("abort and disposal", () => {
  it("does not send a mail whose signal is already aborted", async () => {
    const relay = await startScriptedRelay({});
    const result = await createMailer(clearText(relay.port)).send(mail, AbortSignal.abort());
    expect(result).toEqual({ kind: "retry", reason: "aborted" });
  });

  it("ends mails under way when the mailer is disposed, and sends no others", async () => {
    const relay = await startScriptedRelay({ RCPT: "(silence)" });
    const mailer = createMailer(clearText(relay.port));
    const sending = mailer.send(mail, never);
    await waitFor("the mail is under way", () => relay.bytes().includes("RCPT"));
    await mailer[Symbol.asyncDispose]();
    expect(await sending).toEqual({ kind: "retry", reason: "connection" });
    expect(await mailer.send(mail, never)).toEqual({ kind: "retry", reason: "connection" });
  });
});

describe("kept connections", () => {
  it("send one mail after the other", async () => {
    const relay = await startRelay();
    const mailer = createMailer(clearText(relay.port));
    for (let i = 0; i < 3; i++) expect(await mailer.send(mail, never)).toEqual({ kind: "sent" });
    expect(relay.received).toHaveLength(3);
    expect(relay.connections).toBe(1);
  });

  it("survive a rejected mail", async () => {
    const relay = await startRelay({
      onRcptTo: ({ address }, _session, callback) =>
        callback(address.startsWith("no") ? refusal(550, "no") : null),
    });
    const mailer = createMailer(clearText(relay.port));
    expect(await mailer.send({ ...mail, to: "no@x.io" }, never)).toEqual({
      kind: "reject",
      reason: "550 rcpt",
    });
    expect(await mailer.send({ ...mail, to: "yes@x.io" }, never)).toEqual({ kind: "sent" });
    expect(relay.received.map((m) => m.to)).toEqual([["yes@x.io"]]);
  });

  it("are replaced after a restart of the relay", async () => {
    const relay = await startRelay();
    const mailer = createMailer(clearText(relay.port));
    await mailer.send(mail, never);
    await relay.stop();
    const back = await startRelay({ port: relay.port });
    expect(await mailer.send(mail, never)).toEqual({ kind: "sent" });
    expect(back.received).toHaveLength(1);
  });
});

describe("T27, F18 TLS", () => {
  const content = [code, "Subject:", "mini@mouse.com", "codes@example.com", "AUTH"];
  const starttls = "250-r\n250 STARTTLS";

  it.each<[string, Script, string]>([
    ["the relay has no STARTTLS", {}, "tls"],
    ["the relay replies 454 to STARTTLS", { EHLO: starttls, STARTTLS: "454 4.7.0 not now" }, "tls"],
    ["the relay replies 501 to STARTTLS", { EHLO: starttls, STARTTLS: "501 5.5.4 no" }, "tls"],
    ["the relay has no EHLO", { EHLO: "502 no" }, "502 greeting"],
    ["the connection breaks at STARTTLS", { EHLO: starttls, STARTTLS: "(reset)" }, "connection"],
    ["the relay does not answer STARTTLS", { EHLO: starttls, STARTTLS: "(silence)" }, "timeout"],
    ["the relay continues in clear text", { EHLO: starttls, STARTTLS: "220 go\n250 r" }, "timeout"],
  ])("F18 sends nothing in clear text: %s", async (_name, script, reason) => {
    const relay = await startScriptedRelay(script);
    const mailer = createMailer(`smtp://user:password@127.0.0.1:${relay.port}`, {
      requireTls: true,
      timeouts: { greetingMs: 300, commandMs: 300 },
    });
    expect(await mailer.send(mail, never)).toEqual({ kind: "retry", reason });
    for (const secret of [...content, "MAIL", "password"]) expect(relay.bytes()).not.toContain(secret);
  });

  it.each(["smtp", "smtps"])(
    "F18 sends nothing in clear text: %s, and the relay disconnects right after the handshake",
    async (scheme) => {
      const { cert, key } = certificate("relay");
      let clear = "";
      let handshakes = 0;
      const secure = (socket: Socket) => {
        const secured = new TLSSocket(socket, { isServer: true, cert, key });
        secured.on("error", () => {});
        secured.on("secure", () => {
          handshakes++;
          socket.destroy();
        });
      };
      const port = await listen((socket) => {
        if (scheme === "smtps") return secure(socket);
        socket.write("220 relay\r\n");
        socket.on("data", function read(chunk: Buffer) {
          clear += chunk.toString("latin1");
          if (!clear.includes("STARTTLS\r\n")) return void socket.write("250-relay\r\n250 STARTTLS\r\n");
          socket.off("data", read);
          socket.write("220 go\r\n");
          secure(socket);
        });
      });
      const mailer = createMailer(`${scheme}://user:password@localhost:${port}`, {
        requireTls: true,
        ca: cert,
      });
      expect(await mailer.send(mail, never)).toEqual({ kind: "retry", reason: "connection" });
      expect(handshakes).toBeGreaterThan(0);
      expect(clear).toMatch(scheme === "smtp" ? /^(EHLO \S+\r\nSTARTTLS\r\n)+$/ : /^$/);
    },
  );

  it("is required by default unless the host of the relay is a loopback name", async () => {
    const relay = await startScriptedRelay({});
    // Connects to this machine, but isn't a loopback name.
    const mailer = createMailer(`smtp://0.0.0.0:${relay.port}`);
    expect(await mailer.send(mail, never)).toEqual({ kind: "retry", reason: "tls" });
    for (const secret of content) expect(relay.bytes()).not.toContain(secret);
  });

  it.each<[string, "relay" | "other-name" | "expired", boolean]>([
    ["self-signed", "relay", false],
    ["for another name", "other-name", true],
    ["expired", "expired", true],
  ])("sends nothing to a relay whose certificate is %s", async (_name, name, trusted) => {
    const ca = trusted ? certificate(name).cert : undefined;
    const schemes: Record<string, boolean> = { smtp: false, smtps: true };
    for (const [scheme, secure] of Object.entries(schemes)) {
      const relay = await startRelay({ ...certificate(name), secure });
      const tap = await startTap(relay.port);
      const mailer = createMailer(`${scheme}://user:password@localhost:${tap.port}`, {
        requireTls: true,
        ca,
      });
      expect(await mailer.send(mail, never)).toEqual({ kind: "retry", reason: "tls" });
      for (const secret of content) expect(tap.bytes()).not.toContain(secret);
      expect(relay.received).toEqual([]);
    }
  });

  it.each([
    ["smtp", false],
    ["smtps", true],
  ])("protects the mail and the password: %s", async (scheme, secure) => {
    const relay = await startRelay({
      ...certificate("relay"),
      secure,
      authOptional: false,
      onAuth: ({ username, password }, _session, callback) =>
        callback(null, username === "us:er" && password === "p@ss/word" ? { user: username } : undefined),
    });
    const tap = await startTap(relay.port);
    const url = `${scheme}://us%3Aer:p%40ss%2Fword@localhost:${tap.port}`;
    const mailer = createMailer(url, { requireTls: true, ca: certificate("relay").cert });
    expect(await mailer.send(mail, never)).toEqual({ kind: "sent" });
    expect(relay.received).toHaveLength(1);
    expect(tap.bytes()).not.toBe("");
    for (const secret of content) expect(tap.bytes()).not.toContain(secret);
  });

  it("ignores replies that are injected before TLS", async () => {
    const { cert, key } = certificate("relay");
    let clear = "";
    const port = await listen((socket) => {
      socket.write("220 relay\r\n");
      socket.on("data", function read(chunk: Buffer) {
        clear += chunk.toString("latin1");
        if (clear.includes("STARTTLS\r\n")) {
          socket.off("data", read);
          // The second reply must not count as the one to the encrypted EHLO.
          socket.write("220 go\r\n250-relay\r\n250 AUTH PLAIN\r\n");
          const secured = new TLSSocket(socket, { isServer: true, cert, key });
          secured.on("error", () => {});
          secured.on("data", () => secured.write("554 5.7.1 the relay itself\r\n"));
        } else if (clear.includes("EHLO")) {
          socket.write("250-relay\r\n250 STARTTLS\r\n");
        }
      });
    });
    const mailer = createMailer(`smtp://user:password@localhost:${port}`, { requireTls: true, ca: cert });
    expect(await mailer.send(mail, never)).toMatchObject({ kind: "retry" });
    expect(clear).toMatch(/^EHLO \S+\r\nSTARTTLS\r\n$/);
  });

  it("is 1.2 or later", async () => {
    const relay = await startRelay({
      ...certificate("relay"),
      secure: true,
      minVersion: "TLSv1",
      maxVersion: "TLSv1.1",
      ciphers: "DEFAULT@SECLEVEL=0",
    });
    const mailer = createMailer(`smtps://localhost:${relay.port}`, { ca: certificate("relay").cert });
    expect(await mailer.send(mail, never)).toEqual({ kind: "retry", reason: "tls" });
  });
});

describe("authentication", () => {
  it.each<[string, string, { kind: string; reason: string }]>([
    ["535", "535 5.7.8 bad credentials", { kind: "retry", reason: "535 5.7.8 auth" }],
    ["534", "534 5.7.9 too weak", { kind: "retry", reason: "534 5.7.9 auth" }],
    ["454", "454 4.7.0 later", { kind: "retry", reason: "454 4.7.0 auth" }],
  ])("that fails causes a retry: %s", async (_name, reply, expected) => {
    const relay = await startScriptedRelay({ EHLO: "250-r\n250 AUTH PLAIN", AUTH: reply });
    const mailer = createMailer(`smtp://user:password@127.0.0.1:${relay.port}`);
    expect(await mailer.send(mail, never)).toEqual(expected);
    expect(relay.bytes()).not.toContain("MAIL");
  });
});

describe("the options", () => {
  it.each<[string, object]>([
    ["smtp://mail.example.com", { host: "mail.example.com", port: 587, implicitTls: false }],
    ["smtp://mail.example.com:25/", { host: "mail.example.com", port: 25, implicitTls: false }],
    ["smtps://mail.example.com", { host: "mail.example.com", port: 465, implicitTls: true }],
    ["smtp://[::1]:2525", { host: "::1", port: 2525 }],
    ["smtp://u:p@x.io", { credentials: { user: "u", pass: "p" } }],
    ["smtp://u%40x.io:p%3A%2F@x.io", { credentials: { user: "u@x.io", pass: "p:/" } }],
    ["smtp://x.io", { credentials: undefined }],
  ])("are parsed from %s", (url, expected) => {
    expect(parseRelay(url)).toMatchObject(expected);
  });

  it.each([
    [""],
    ["mail.example.com"],
    ["http://u:hidden@x.io"],
    ["smtp://"],
    ["smtp:x.io"],
    ["smtp://u:hidden@x.io/path"],
    ["smtp://u:hidden@x.io?tls.rejectUnauthorized=false"],
    ["smtp://u:hidden@x.io#x"],
    ["smtp://u:hidden%@x.io"],
    ["smtp://u:hidden@x%0d%0a.io"],
    ["smtp://u:hidden@x.io:99999"],
  ])("are rejected without being quoted: %j", (url) => {
    expect(() => parseRelay(url)).toThrow(/SMTP URL/);
    expect(() => parseRelay(url)).not.toThrow(/hidden/);
  });

  it.each([
    ["localhost", true],
    ["127.0.0.1", true],
    ["127.0.0.2", true],
    ["::1", true],
    ["mail.example.com", false],
    ["localhost.example.com", false],
    ["127.0.0.1.example.com", false],
    ["10.0.0.1", false],
    ["::", false],
  ])("require no TLS for a loopback host: %s %s", (host, expected) => {
    expect(isLoopback(host)).toBe(expected);
  });

  it.each<[string, Partial<SmtpMailerOptions>]>([
    ["a name for EHLO with a command", { name: "x\r\nMAIL FROM:<e@evil.example>" }],
    ["a name for EHLO with a blank", { name: "a b" }],
    ["a sender with a command", { from: { ...from, address: "a@x.io>\r\nRCPT TO:<b@y.io" } }],
    ["a sender with two addresses", { from: { ...from, address: "a@x.io,b@y.io" } }],
    ["a sender's name with a header field", { from: { ...from, name: "a\r\nBcc: e@evil.example" } }],
  ])("T26 are rejected: %s", (_name, options) => {
    expect(() => createSmtpMailer({ url: "smtp://127.0.0.1", from, ...options })).toThrow(/must/);
  });
});
