import { execFileSync, spawnSync } from "node:child_process";
import { HtmlValidate } from "html-validate";
import { simpleParser } from "mailparser";
import { beforeAll, describe, expect, it } from "vitest";
import type { OutgoingMail } from "../../../src/mail/mailer.ts";
import { createSmtpMailer } from "../../../src/mail/smtp/smtp-mailer.ts";
import { escapeHtml } from "../../../src/mail/templates/html.ts";
import { builtInTemplate } from "../../../src/mail/templates/mail-templates.ts";
import { renderSample, type Sample, samples } from "../../../src/mail/templates/sample.ts";
import { type Language, languages } from "../../../src/texts/languages.ts";
import { startTestApp } from "../../support/app.ts";
import { startRelay } from "../../support/mail/relay.ts";

function render(sample: Sample, language: Language, serviceName = "Clubhouse") {
  return renderSample(sample, {
    templates: builtInTemplate,
    language,
    orgId: "o",
    serviceName,
    publicUrl: "https://otp.example.com",
    codeInSubject: false,
  });
}

const all = samples.flatMap((sample) => languages.map((language) => ({ sample, language })));

/** Sends mails through a real relay and returns them as they came over the wire. */
async function capture(mails: Pick<OutgoingMail, "subject" | "text" | "html" | "language">[]) {
  const ends: (() => void | Promise<void>)[] = [];
  const relay = await startRelay({}, (end) => ends.push(end));
  const from = { name: "Clübhouse", address: "codes@example.com" };
  await using mailer = createSmtpMailer({ url: `smtp://127.0.0.1:${relay.port}`, from });
  for (const [index, mail] of mails.entries()) {
    const envelope = { to: "mini@mouse.com", messageId: `<${index}@otp.example.com>`, date: new Date(0) };
    const { language, subject, text, html } = mail;
    const result = await mailer.send(
      { language, subject, text, html, ...envelope },
      new AbortController().signal,
    );
    expect(result).toEqual({ kind: "sent" });
  }
  for (const end of ends) await end();
  return relay.received.map(({ raw }) => raw);
}

/** Unfolded header fields, with lower-case names. */
function fieldsOf(head: string): [name: string, value: string][] {
  return head
    .replace(/\r\n[ \t]+/g, " ")
    .split("\r\n")
    .map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 2)]);
}

/** Visible text of an HTML part, in one line. */
function visibleText(html: string): string {
  return html
    .replace(/<!--[\s\S]*?-->/g, "")
    .replace(/<head>[\s\S]*<\/head>/, "")
    .replace(/<[^>]*>/g, " ")
    .replace(
      /&(amp|lt|gt|quot|#39);/g,
      (entity) => ({ "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"' })[entity] ?? "'",
    )
    .replace(/\s+/g, " ")
    .trim();
}

describe("a mail on the wire", () => {
  const mails = all.map(({ sample, language }) => render(sample, language));
  let raws: string[] = [];

  beforeAll(async () => {
    raws = await capture(mails);
  });

  it("has the header fields of an automatic mail, and no others", async () => {
    for (const [index, raw] of raws.entries()) {
      const { language } = all[index]!;
      const fields = fieldsOf(raw.slice(0, raw.indexOf("\r\n\r\n")));
      // RFC 5322 §3.6: each exactly once. RFC 3834 §5. No List-Unsubscribe (RFC 8058): users who unsubscribe from codes
      // can't sign in.
      expect(fields.map(([name]) => name).sort()).toEqual([
        "auto-submitted",
        "content-language",
        "content-type",
        "date",
        "from",
        "message-id",
        "mime-version",
        "subject",
        "to",
      ]);
      expect(Object.fromEntries(fields)).toMatchObject({
        "auto-submitted": "auto-generated",
        "content-language": language,
        "content-type": expect.stringMatching(/^multipart\/alternative; boundary="/),
        date: "Thu, 01 Jan 1970 00:00:00 +0000",
        from: "=?UTF-8?Q?Cl=C3=BCbhouse?= <codes@example.com>",
        "message-id": `<${index}@otp.example.com>`,
        "mime-version": "1.0",
        to: "mini@mouse.com",
      });
    }
  });

  it("is ASCII in short lines with CRLF, without base64", async () => {
    for (const raw of raws) {
      expect(raw).toMatch(/^[\x20-\x7e\r\n\t]*$/);
      expect(raw.replaceAll("\r\n", "")).not.toMatch(/[\r\n]/);
      // RFC 5322 §2.1.1 asks for 78 characters, RFC 2045 §6.7 for 76.
      for (const line of raw.split("\r\n")) expect(line.length, line).toBeLessThanOrEqual(78);
      const encodings = [...raw.matchAll(/^Content-Transfer-Encoding: (.*)\r$/gm)].map(([, name]) => name);
      expect(encodings).toHaveLength(2);
      for (const name of encodings) expect(name).toMatch(/^(7bit|quoted-printable)$/);
      const types = [...raw.matchAll(/^Content-Type: (text\/\w+; charset=\S+)(;.*)?\r$/gm)].map(
        ([, type]) => type,
      );
      expect(types).toEqual(["text/plain; charset=utf-8", "text/html; charset=utf-8"]);
    }
  });

  it("parses to the same content", async () => {
    for (const [index, raw] of raws.entries()) {
      const { subject, text, html } = mails[index]!;
      expect(await simpleParser(Buffer.from(raw, "latin1"))).toMatchObject({ subject, text, html });
    }
  });

  it("ends with the code bound to its host, also without an HTML part", async () => {
    for (const sample of ["verification", "login"] as const) {
      const mail = render(sample, "ja");
      const [raw] = await capture([{ ...mail, html: "" }]);
      expect(raw).not.toContain("text/html");
      const { text = "" } = await simpleParser(Buffer.from(raw!, "latin1"));
      expect(text.trimEnd().split("\n").at(-1)).toMatch(/^@otp\.example\.com #[0-9A-Z]{6,8}$/);
    }
  });
});

describe("each mail in each language", () => {
  it("is valid HTML", async () => {
    const validator = new HtmlValidate({
      extends: ["html-validate:recommended"],
      rules: {
        // Mail clients need inline styles, deprecated attributes and conditional comments, and an article that keeps its
        // language when they drop the page around it.
        "no-inline-style": "off",
        "no-deprecated-attr": "off",
        "no-conditional-comment": "off",
        "prefer-native-element": "off",
        "doctype-style": ["error", { style: "lowercase" }],
      },
    });
    for (const { sample, language } of all) {
      const { results } = await validator.validateString(render(sample, language).html);
      const messages = results.flatMap((result) => result.messages);
      expect(
        messages.map(({ ruleId, message, line }) => `${line} ${ruleId}: ${message}`),
        sample,
      ).toEqual([]);
    }
  });

  it("has the same content in both parts", () => {
    for (const { sample, language } of all) {
      const { text, html } = render(sample, language);
      const seen = visibleText(html);
      const paragraphs = text.split("\n\n").map((paragraph) => paragraph.replace(/\s+/g, " ").trim());
      // Links and the texts that introduce them are only in the text part. So is the last line.
      const said = paragraphs.filter(
        (paragraph) => !/^https:|^@|[:：]$/.test(paragraph) || paragraph === paragraphs[0],
      );
      expect(said.length).toBeGreaterThan(2);
      for (const paragraph of said) expect(seen, `${sample} in ${language}`).toContain(paragraph);
      const links = (part: string) => new Set(part.match(/https:[^\s"<>]+/g));
      expect(links(html.replaceAll("&amp;", "&"))).toEqual(links(text));
    }
  });

  it("loads nothing, has no images, and is far below the 102 kB that Gmail shows", () => {
    for (const { sample, language } of all) {
      const { html } = render(sample, language);
      expect(html).not.toMatch(
        /<(img|link|script|iframe|form|object|video|audio|base)\b|url\(|@import|\b(src|background)=/i,
      );
      expect(Buffer.byteLength(html)).toBeLessThan(12_000);
    }
  });

  it("has enough text, a quiet subject and links with labels, unlike spam", () => {
    for (const { sample, language } of all) {
      const { subject, text, html } = render(sample, language);
      const what = `${sample} in ${language}`;
      expect(Buffer.byteLength(visibleText(html)) / Buffer.byteLength(html), what).toBeGreaterThan(0.03);
      expect(subject, what).not.toMatch(/[!$€%]|^(re|fwd?):/i);
      expect(subject, what).not.toMatch(/\p{Lu}{4}/u);
      expect([...subject].length, what).toBeLessThan(100);
      expect(text.trim().length, what).toBeGreaterThan(100);
      for (const [, shown = ""] of html.matchAll(/<a\b[^>]*>([\s\S]*?)<\/a>/g)) {
        expect(shown, what).not.toMatch(/https?:|www\./);
      }
      // No hidden text.
      const body = html.slice(html.indexOf("<body")).replace(/<!--[\s\S]*?-->/g, "");
      expect(body, what).not.toMatch(/display:\s*none|visibility:\s*hidden|font-size:\s*1px/);
    }
  });

  const hasSpamAssassin = spawnSync("spamassassin", ["--version"]).status === 0;
  it.skipIf(!hasSpamAssassin)("is not spam to SpamAssassin, if installed", { timeout: 300_000 }, async () => {
    const some = all.filter(({ language }) => ["en", "de", "ru", "ja", "ar"].includes(language));
    for (const raw of await capture(some.map(({ sample, language }) => render(sample, language)))) {
      const report = execFileSync("spamassassin", ["--local", "--test-mode"], {
        input: raw,
        encoding: "latin1",
      });
      expect(Number(/^X-Spam-Status: .*score=(-?[\d.]+)/m.exec(report)?.[1]), report).toBeLessThan(2);
    }
  });
});

/** Input of T23, and other input that could affect templates or mails. */
const hostile: [name: string, shown: string][] = [
  ["<a href=//evil>x</a>", "<a href=//evil>x</a>"],
  ["{{7*7}}", "{{7*7}}"],
  ["{{code}}{{link}}", "{{code}}{{link}}"],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is attacker input.
  ["${7*7}", "${7*7}"],
  ["<%=7%>", "<%=7%>"],
  ["$& $1 $$ $`", "$& $1 $$ $`"],
  ["a\r\nBcc: e@evil", "a Bcc: e@evil"],
  ["a\u202eb\u2066c", "a b c"],
  ["x".repeat(10_000), "x".repeat(80)],
];

describe.each(samples)("T23 the mail %s", (sample) => {
  it.each(hostile)("treats a name as text: %j", async (name, shown) => {
    const mail = render(sample, "en", name);
    const [raw] = await capture([mail]);
    const { subject, text, html, headers } = await simpleParser(raw!);
    expect(subject).toContain(shown);
    expect(text).toContain(shown);
    expect(html).toContain(escapeHtml(shown));
    expect(headers.has("bcc")).toBe(false);
    for (const part of [subject, text, html && visibleText(html)]) expect(part).not.toContain("49 ");
    expect(String(html).match(/<a\b/g)?.length).toBe(render(sample, "en").html.match(/<a\b/g)?.length);
  });
});

describe("T23 a user", () => {
  // Names with control characters are rejected.
  const names = hostile.filter(([name]) => !/\p{Cc}/u.test(name));
  it.each(names)("can not put its name into a mail: %j", async (name) => {
    const test = await startTestApp();
    const client = await test.admin();
    const organization = { org: { case: "orgId", value: "o" } } as const;
    const displayName = name.slice(0, 200);
    await client.createUser({ userId: "u", displayName, organization });
    await client.addOTPEmail({ userId: "u", email: { address: "mini@mouse.com" } });
    const [mail] = await test.mails("mini@mouse.com");
    for (const part of [mail!.subject, mail!.text, mail!.html]) {
      expect(part).not.toContain(displayName.slice(0, 40));
      expect(part).not.toContain("evil");
      expect(part).not.toContain("mini@mouse.com");
    }
  });
});
