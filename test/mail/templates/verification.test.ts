import { simpleParser } from "mailparser";
import { describe, expect, it, onTestFinished } from "vitest";
import { createSmtpMailer } from "../../../src/mail/smtp/smtp-mailer.ts";
import { renderVerificationMail, type VerificationMail } from "../../../src/mail/templates/verification.ts";
import { startRelay } from "../../support/mail/relay.ts";

const input: VerificationMail = {
  code: "ABCD2345",
  link: "https://app.example.com/verify?user=u&code=ABCD2345",
  ttlMs: 600_000,
};

describe("the verification mail", () => {
  it("has no code in the subject", () => {
    const { subject } = renderVerificationMail(input);
    expect(subject).toBe("Your code to verify this email address for Countersign");
  });

  it("has the code and the link on their own lines", () => {
    const lines = renderVerificationMail(input).text.split("\n");
    expect(lines.filter((line) => line === input.code)).toHaveLength(1);
    expect(lines.filter((line) => line === input.link)).toHaveLength(1);
  });

  it("has one link in HTML, and loads nothing", () => {
    const { html } = renderVerificationMail(input);
    expect(html.match(/https?:/g)).toHaveLength(1);
    expect(html).toContain('href="https://app.example.com/verify?user=u&amp;code=ABCD2345"');
    expect(html).not.toMatch(/<(img|script|link|iframe|form)|url\(/i);
    expect(html).toContain(">ABCD2345</div>");
  });

  it("explains what to do if it was not requested", () => {
    const { text, html } = renderVerificationMail(input);
    for (const part of [text, html]) expect(part).toContain("You did not ask for it? Then you can ignore");
  });

  it.each([
    [30_000, "30 seconds"],
    [60_000, "1 minute"],
    [90_000, "90 seconds"],
    [120_000, "2 minutes"],
    [150_000, "2 minutes"],
    [600_000, "10 minutes"],
    [1_000, "1 second"],
  ])("formats %i ms as %s", (ttlMs, words) => {
    const { text, html } = renderVerificationMail({ ...input, ttlMs });
    for (const part of [text, html]) expect(part).toContain(`once, within ${words} of your request.`);
  });

  it.each<[string, string]>([
    ["<a href=//evil>x</a>", "&lt;a href=//evil&gt;x&lt;/a&gt;"],
    ["{{7*7}}", "{{7*7}}"],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is attacker input.
    ["${7*7}", "${7*7}"],
    ["<%=7%>", "&lt;%=7%&gt;"],
    ["$& $1 $$ $`", "$&amp; $1 $$ $`"],
    ["a\r\nBcc: e@evil", "a Bcc: e@evil"],
    ["a\u202eb\u2066c\u0000d\ud800e", "a b c d e"],
    [`"onmouseover='x'`, "&quot;onmouseover=&#39;x&#39;"],
    ["x".repeat(10_000), "x".repeat(80)],
    ["🐭".repeat(100), "🐭".repeat(80)],
  ])("T23 treats the name of the service as text: %j", (serviceName, inHtml) => {
    const { subject, text, html } = renderVerificationMail({ ...input, serviceName });
    expect(subject.split("\n")).toHaveLength(1);
    expect(text.split("\n")[0]).toMatch(/^To verify this email address for .*, enter this code:$/);
    expect(html).toContain(`email address for ${inHtml}, enter`);
    for (const part of [subject, text, html]) expect(part).not.toContain("49");
  });

  it("T23 escapes the link in HTML", () => {
    const { html } = renderVerificationMail({ ...input, link: `https://x.io/"><script>` });
    expect(html).toContain('href="https://x.io/&quot;&gt;&lt;script&gt;"');
  });

  it("arrives unchanged, also with a long link", async () => {
    const relay = await startRelay();
    const from = { name: "Countersign", address: "codes@example.com" };
    const mailer = createSmtpMailer({ url: `smtp://127.0.0.1:${relay.port}`, from });
    onTestFinished(() => mailer[Symbol.asyncDispose]());
    const mail = renderVerificationMail({ ...input, link: `https://x.io/?q=${"a=b&".repeat(200)}end` });
    const envelope = { to: "mini@mouse.com", messageId: "<1@x.io>", date: new Date(0) };
    await mailer.send({ ...mail, ...envelope }, new AbortController().signal);
    const { language, ...parts } = mail;
    for (const line of relay.received[0]!.raw.split("\r\n")) expect(line.length).toBeLessThanOrEqual(78);
    const parsed = await simpleParser(relay.received[0]!.raw);
    expect(parsed).toMatchObject(parts);
    expect(parsed.headers.get("content-language")).toBe(language);
  });
});
