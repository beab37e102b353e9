import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { simpleParser } from "mailparser";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../../support/folder.ts";
import { startRelay } from "../../support/mail/relay.ts";
import { runCommand } from "../../support/process/process.ts";

describe("countersign mail preview", () => {
  it("writes the HTML part and the text part to files", async () => {
    const out = join(temporaryFolder(), "mail.html");
    const args = ["mail", "preview", "--purpose", "login", "--language", "ar", "--out", out];
    const { code, stdout } = await runCommand(args, { COUNTERSIGN_MAIL_FROM: "Clubhouse <a@x.io>" });
    const text = out.replace(".html", ".txt");
    expect({ code, stdout }).toEqual({ code: 0, stdout: `wrote ${out} and ${text}\n` });
    expect(readFileSync(out, "utf8")).toMatch(/^<!doctype html>\s<html lang="ar" dir="rtl"/);
    expect(readFileSync(text, "utf8")).toMatch(
      /^Subject: .*Clubhouse\n\n[\s\S]*\n@otp\.example\.com #\d{6}\n$/,
    );
  });

  it("uses custom templates, and names the one that is invalid", async () => {
    const folder = temporaryFolder();
    const out = join(temporaryFolder(), "mail.html");
    const settings = { COUNTERSIGN_TEMPLATES_DIR: folder };
    const run = () => runCommand(["mail", "preview", "--out", out], settings);
    writeFileSync(join(folder, "verification.html"), `{{code}} <a href="{{link}}">Own</a>`);
    expect((await run()).code).toBe(0);
    expect(readFileSync(out, "utf8")).toMatch(/^[0-9A-Z]{8} <a href="https:.*">Own<\/a>$/);

    writeFileSync(join(folder, "verification.html"), "{{code}}");
    const refused = await run();
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("verification.html: lacks {{link}}: put it in");
  });
});

describe("countersign mail test", () => {
  it("sends one mail through the configured relay", async () => {
    const relay = await startRelay();
    const { code, stdout } = await runCommand(
      ["mail", "test", "--to", "Mini@Mouse.com", "--language", "ja"],
      {
        COUNTERSIGN_SMTP_URL: `smtp://127.0.0.1:${relay.port}`,
        COUNTERSIGN_MAIL_FROM: "Clubhouse <codes@example.com>",
        COUNTERSIGN_CODE_IN_SUBJECT: "on",
        COUNTERSIGN_PUBLIC_URL: "https://club.example.com",
      },
    );
    expect({ code, stdout }).toEqual({ code: 0, stdout: "sent\n" });
    expect(relay.received.map(({ to }) => to)).toEqual([["Mini@mouse.com"]]);
    const mail = await simpleParser(Buffer.from(relay.received[0]!.raw, "latin1"));
    expect(mail.subject).toMatch(/^[0-9A-Z]{8} - Clubhouse のメールアドレス確認コード$/);
    expect(mail.messageId).toMatch(/@club\.example\.com>$/);
  });

  it("tries providers in order, or those of the organization", async () => {
    const fallback = await startRelay();
    const acme = await startRelay();
    const senders = join(temporaryFolder(), "senders.json");
    writeFileSync(
      senders,
      JSON.stringify({ acme: { from: "login@acme.example", smtpUrl: `smtp://127.0.0.1:${acme.port}` } }),
    );
    const send = (...args: string[]) =>
      runCommand(["mail", "test", "--to", "mini@mouse.com", ...args], {
        COUNTERSIGN_SMTP_URL: `smtp://127.0.0.1:1, smtp://127.0.0.1:${fallback.port}`,
        COUNTERSIGN_MAIL_FROM: "Clubhouse <codes@example.com>",
        COUNTERSIGN_SENDERS_FILE: senders,
      });
    expect(await send()).toMatchObject({ code: 0, stdout: "sent\n" });
    expect(await send("--org", "acme")).toMatchObject({ code: 0, stdout: "sent\n" });
    expect(fallback.received.map(({ from }) => from)).toEqual(["codes@example.com"]);
    expect(acme.received.map(({ from }) => from)).toEqual(["login@acme.example"]);
  });

  it("prints why a mail was not sent", async () => {
    const { code, stdout, stderr } = await runCommand(["mail", "test", "--to", "mini@mouse.com"], {
      COUNTERSIGN_SMTP_URL: "smtp://127.0.0.1:1",
    });
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^Error: the mail provider did not accept the mail: \w+/);
  });
});

describe("countersign mail", () => {
  it.each([
    [["mail"], /mail preview or mail test/],
    [["mail", "send"], /mail preview or mail test/],
    [["mail", "preview"], /--out is missing/],
    [
      ["mail", "preview", "--out", "x", "--purpose", "advert"],
      /--purpose must be one of verification, login/,
    ],
    [["mail", "preview", "--out", "x", "--language", "tlh"], /--language must be one of en, de/],
    [["mail", "test"], /--to must be the address/],
    [["mail", "test", "--to", "a@b.io, c@d.io"], /--to must be the address/],
  ])("says how to correct the command line %j", async (args, message) => {
    const { code, stderr } = await runCommand(args);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });

  it("names the missing setting", async () => {
    const { code, stderr } = await runCommand(["mail", "test", "--to", "a@b.io"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/COUNTERSIGN_SMTP_URL is missing/);
  });
});
