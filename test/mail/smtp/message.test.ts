import { simpleParser } from "mailparser";
import { describe, expect, it } from "vitest";
import type { OutgoingMail } from "../../../src/mail/mailer.ts";
import { writeMessage } from "../../../src/mail/smtp/message.ts";
import { builtInTemplate } from "../../../src/mail/templates/mail-templates.ts";
import { renderVerificationMail } from "../../../src/mail/templates/verification.ts";
import { languages } from "../../../src/texts/languages.ts";

const from = { name: "Countersign", address: "codes@example.com" };
const base = {
  to: "mini@mouse.com",
  messageId: "<1@otp.example.com>",
  date: new Date("2026-02-03T04:05:06Z"),
};
const mailOf = (changes: Partial<OutgoingMail>): OutgoingMail => ({
  ...base,
  subject: "Your code",
  text: "one\ntwo\n",
  html: "<p>one</p>",
  ...changes,
});
const written = (changes: Partial<OutgoingMail>, sender = from) =>
  writeMessage(sender, mailOf(changes)).toString("latin1");

/** Unfolded header fields, in their order. */
const headersOf = (raw: string) =>
  raw
    .slice(0, raw.indexOf("\r\n\r\n"))
    .replace(/\r\n[ \t]/g, " ")
    .split("\r\n");

describe("a written message", () => {
  it.each(languages)(
    "has lines of at most 76 printable ASCII characters, and parses to the same content: %s",
    async (language) => {
      const rendered = renderVerificationMail({
        template: builtInTemplate("verification", language),
        code: "ABCD2345",
        link: "https://otp.example.com/verify?h=abc=def&x=é",
        ttlMs: 600_000,
        codeInSubject: false,
      });
      const raw = writeMessage(from, { ...base, ...rendered }).toString("latin1");
      expect(raw.split("\r\n").filter((line) => !/^[\t -~]{0,76}$/.test(line))).toEqual([]);
      const { subject, text, html } = await simpleParser(raw);
      expect(subject).toBe(rendered.subject);
      expect(text?.trimEnd()).toBe(rendered.text.trimEnd());
      expect((html || "").trimEnd()).toBe(rendered.html.trimEnd());
    },
  );

  it("is the same for each attempt", () => {
    expect(written({})).toBe(written({}));
  });

  it.each<[string, Partial<OutgoingMail>, string]>([
    ["Subject", { subject: "a\r\nBcc: evil@x.io" }, "Subject"],
    ["Message-ID", { messageId: "<1@x>\r\nBcc: evil@x.io" }, "Message-ID"],
    ["Content-Language", { language: "en\r\nBcc: evil@x.io" }, "Content-Language"],
  ])("keeps line breaks in a value out of the headers: %s", (_name, changes, key) => {
    const keys = headersOf(written(changes)).map((line) => line.slice(0, line.indexOf(":")));
    expect(keys).not.toContain("Bcc");
    expect(keys).toContain(key);
  });

  it.each([
    ["Countersign", "Countersign <codes@example.com>"],
    ["", "codes@example.com"],
    ['Count, "and" sign', '"Count, \\"and\\" sign" <codes@example.com>'],
    ["Gegenzeichen für alle", "=?UTF-8?Q?Gegenzeichen_f=C3=BCr_alle?= <codes@example.com>"],
  ])("encodes the name of the sender: %s", (name, expected) => {
    expect(headersOf(written({}, { ...from, name }))[0]).toBe(`From: ${expected}`);
  });

  it("has a boundary that can not occur in a text", async () => {
    const text = "--=_countersign\n--=_countersign--\nend";
    const parsed = await simpleParser(written({ text, html: "<p>--=_countersign--</p>" }));
    expect(parsed.text).toBe(text);
    expect(parsed.html).toBe("<p>--=_countersign--</p>");
  });

  it("ends each line with CRLF, whatever the text uses", () => {
    expect(written({ text: "a\rb\nc\r\nd", html: "" })).toMatch(/\r\n\r\na\r\nb\r\nc\r\nd\r\n$/);
  });

  it("has a single part without HTML", async () => {
    const raw = written({ html: "" });
    expect(headersOf(raw)).toContain("Content-Type: text/plain; charset=utf-8");
    expect((await simpleParser(raw)).text).toBe("one\ntwo\n");
  });
});
