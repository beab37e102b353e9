import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readConfig } from "../../src/config/config.ts";
import { ConfigError } from "../../src/config/config-error.ts";
import { parseProviderUrls } from "../../src/mail/providers/provider-url.ts";
import { startTestApp } from "../support/app.ts";
import { temporaryFolder } from "../support/folder.ts";
import { startRelay } from "../support/mail/relay.ts";
import { runCommand } from "../support/process/process.ts";
import { waitFor } from "../support/wait-for.ts";

const rsaKey = (modulusLength: number) =>
  generateKeyPairSync("rsa", {
    modulusLength,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  }).privateKey;

const key = rsaKey(2048);
const webhookSecret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const relay = {
  COUNTERSIGN_SMTP_URL: "smtp://localhost",
  COUNTERSIGN_MAIL_FROM: "A <codes@mail.example.com>",
};
const dkim = {
  COUNTERSIGN_DKIM_DOMAIN: "example.com",
  COUNTERSIGN_DKIM_SELECTOR: "otp",
  COUNTERSIGN_DKIM_KEY: key,
};
const oauth = {
  COUNTERSIGN_SMTP_OAUTH_TOKEN_URL: "https://id.example.com/token",
  COUNTERSIGN_SMTP_OAUTH_CLIENT_ID: "client",
  COUNTERSIGN_SMTP_OAUTH_CLIENT_SECRET: "hidden-secret",
  COUNTERSIGN_SMTP_OAUTH_REFRESH_TOKEN: "hidden-token",
};

function problemsOf(environment: Record<string, string>): readonly string[] {
  try {
    readConfig("dev", environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

/** Writes a senders file and returns its path. */
function sendersFile(content: unknown): string {
  const path = join(temporaryFolder(), "senders.json");
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

function keyFile(pem: string): string {
  const path = join(temporaryFolder(), "dkim.pem");
  writeFileSync(path, pem);
  return path;
}

describe("parseProviderUrls", () => {
  it.each<[string, object[]]>([
    ["smtp://mail.example.com", [{ kind: "smtp", name: "smtp mail.example.com:587", xoauth2: false }]],
    [
      "smtps://a:b@one.example, smtp://two.example:25\n smtp://me@three.example?auth=xoauth2",
      [
        { kind: "smtp", name: "smtp one.example:465" },
        { kind: "smtp", name: "smtp two.example:25" },
        { kind: "smtp", name: "smtp three.example:587", xoauth2: true },
      ],
    ],
    ["ses://eu-central-1", [{ kind: "ses", name: "ses eu-central-1", endpoint: undefined }]],
    ["ses://us-gov-west-1?endpoint=https://x.io", [{ region: "us-gov-west-1", endpoint: "https://x.io" }]],
    [
      "webhook+https://x.io/mail?a=b",
      [{ kind: "webhook", name: "webhook x.io", url: "https://x.io/mail?a=b" }],
    ],
    ["webhook+http://127.0.0.1:8080/", [{ kind: "webhook", url: "http://127.0.0.1:8080/" }]],
    ["webhook+http://[::1]/", [{ kind: "webhook" }]],
  ])("reads %s", (list, expected) => {
    expect(parseProviderUrls(list)).toMatchObject(expected);
  });

  it.each([
    [""],
    [" , "],
    ["https://hidden.example"],
    ["smtp://hidden:hidden@x.io?auth=xoauth2"],
    ["smtp://x.io?auth=xoauth2"],
    ["smtp://hidden@x.io?auth=plain"],
    ["smtp://a:hid,den@x.io"],
    ["ses://hidden"],
    ["ses://hidden:hidden@eu-central-1"],
    ["ses://eu-central-1/hidden"],
    ["ses://eu-central-1?endpoint=http://hidden.example"],
    ["ses://eu-central-1?hidden=1"],
    ["webhook+http://hidden.example/"],
    ["webhook+https://hidden:hidden@x.io/"],
    ["webhook+https://"],
    ["webhook+ftp://hidden.example"],
  ])("T27 refuses %j without quoting it", (list) => {
    expect(() => parseProviderUrls(list)).toThrow(/must/);
    expect(() => parseProviderUrls(list)).not.toThrow(/hidden/);
  });

  it("says which URL of a list is invalid", () => {
    expect(() => parseProviderUrls("smtp://x.io, smtp:x.io")).toThrow(/^number 2 of 2: the SMTP URL must be/);
  });
});

describe("the default sender", () => {
  it("is read from several settings and from files", () => {
    const environment = {
      ...relay,
      ...dkim,
      ...oauth,
      COUNTERSIGN_SMTP_URL: "smtp://me@x.io?auth=xoauth2 webhook+https://x.io/",
      COUNTERSIGN_DKIM_KEY: keyFile(key),
      COUNTERSIGN_MAIL_WEBHOOK_SECRET_FILE: keyFile(`${webhookSecret}\n`),
    };
    expect(readConfig("dev", environment)).toMatchObject({
      dkim: { domain: "example.com", selector: "otp", privateKey: key },
      smtpOAuth: { clientId: "client", clientSecret: "hidden-secret", refreshToken: "hidden-token" },
      mailWebhookSecret: webhookSecret,
      senders: {},
    });
  });

  it("needs the AWS SDK for ses:// alone, and says so", async () => {
    const preload = join(temporaryFolder(), "preload.cjs");
    writeFileSync(
      preload,
      `const { Module } = require("node:module");
      const resolve = Module._resolveFilename;
      Module._resolveFilename = (name, ...others) => {
        if (name.startsWith("@aws-sdk/")) throw new Error("not found");
        return resolve(name, ...others);
      };`,
    );
    const relay = await startRelay();
    const send = (url: string) =>
      runCommand(["mail", "test", "--to", "mini@mouse.com"], {
        NODE_OPTIONS: `--require=${preload}`,
        COUNTERSIGN_SMTP_URL: url,
      });
    const refused = await send("ses://eu-central-1");
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("COUNTERSIGN_SMTP_URL has ses://, which needs the AWS SDK");
    expect(refused.stderr).toContain("npm install @aws-sdk/client-sesv2");
    expect(await send(`smtp://127.0.0.1:${relay.port}`)).toMatchObject({ code: 0, stdout: "sent\n" });
  });

  it.each<[string, Record<string, string>, RegExp]>([
    [
      "a webhook without a secret",
      { COUNTERSIGN_SMTP_URL: "webhook+https://x.io" },
      /^COUNTERSIGN_MAIL_WEBHOOK_SECRET must/,
    ],
    [
      "a short webhook secret",
      { COUNTERSIGN_MAIL_WEBHOOK_SECRET: "whsec_aGlkZGVu" },
      /^COUNTERSIGN_MAIL_WEBHOOK_SECRET must/,
    ],
    [
      "XOAUTH2 without a token endpoint",
      { COUNTERSIGN_SMTP_URL: "smtp://a@x.io?auth=xoauth2" },
      /^COUNTERSIGN_SMTP_OAUTH_TOKEN_URL is missing/,
    ],
    [
      "an incomplete set of OAuth settings",
      { ...oauth, COUNTERSIGN_SMTP_OAUTH_CLIENT_SECRET: "" },
      /^COUNTERSIGN_SMTP_OAUTH_CLIENT_SECRET is missing/,
    ],
    [
      "T27 a token endpoint without TLS",
      { ...oauth, COUNTERSIGN_SMTP_OAUTH_TOKEN_URL: "http://id.example.com/hidden" },
      /^COUNTERSIGN_SMTP_OAUTH_TOKEN_URL must be an https URL/,
    ],
    [
      "DKIM without a selector",
      { ...dkim, COUNTERSIGN_DKIM_SELECTOR: "" },
      /^COUNTERSIGN_DKIM_SELECTOR is missing/,
    ],
    [
      "a short DKIM key",
      { ...dkim, COUNTERSIGN_DKIM_KEY: rsaKey(1024) },
      /^COUNTERSIGN_DKIM_KEY must be a private RSA/,
    ],
    [
      "T26 a line break in the selector",
      { ...dkim, COUNTERSIGN_DKIM_SELECTOR: "a\r\nBcc: hidden" },
      /^COUNTERSIGN_DKIM_SELECTOR/,
    ],
    [
      "a DKIM domain that is not the sender's",
      { ...dkim, COUNTERSIGN_DKIM_DOMAIN: "ample.com" },
      /^COUNTERSIGN_DKIM_DOMAIN must be of the sender/,
    ],
    [
      "a missing senders file",
      { COUNTERSIGN_SENDERS_FILE: "/nowhere" },
      /^COUNTERSIGN_SENDERS_FILE names a file/,
    ],
  ])("refuses %s", (_name, environment, expected) => {
    const problems = problemsOf({ ...relay, ...environment });
    expect(problems.length, String(problems)).toBeGreaterThan(0);
    for (const problem of problems) expect(problem).toMatch(expected);
    expect(String(problems)).not.toMatch(/hidden|aGlkZGVu|nowhere/);
  });
});

describe("COUNTERSIGN_SENDERS_FILE", () => {
  it("holds a sender for each organization", () => {
    const COUNTERSIGN_SENDERS_FILE = sendersFile({
      acme: {
        from: "Acme <login@acme.example>",
        smtpUrl: "smtp://a@mail.acme.example?auth=xoauth2, webhook+https://acme.example/",
        dkim: { domain: "acme.example", selector: "otp", keyFile: keyFile(key) },
        oauth: { tokenUrl: "https://acme.example/t", clientId: "c", clientSecret: "s", refreshToken: "r" },
        webhookSecret,
      },
      other: { from: "login@other.example" },
    });
    expect(readConfig("dev", { ...relay, COUNTERSIGN_SENDERS_FILE }).senders).toMatchObject({
      acme: {
        from: { name: "Acme", address: "login@acme.example" },
        dkim: { domain: "acme.example", selector: "otp", privateKey: key },
        oauth: { refreshToken: "r" },
        webhookSecret,
      },
      other: { from: { name: "", address: "login@other.example" } },
    });
  });

  const from = "a@x.io";
  it.each<[string, unknown, RegExp]>([
    ["text that is not JSON", '{"hidden": ', / names a file that is not JSON$/],
    ["a list", ["hidden"], / names a file that is not a JSON object/],
    ["an entry that is not an object", { acme: "hidden" }, / entry "acme", as a whole must be an object$/],
    ["an entry without a sender", { acme: {} }, / entry "acme", from is missing$/],
    [
      "an unknown member",
      { acme: { from, password: "hidden" } },
      / entry "acme", password is not a known member/,
    ],
    [
      "an entry with two senders",
      { acme: { from: "hidden@x.io, b@x.io" } },
      / entry "acme", from must be an address/,
    ],
    [
      "a number as smtpUrl",
      { acme: { from, smtpUrl: 1 } },
      / entry "acme", smtpUrl is missing or of the wrong type$/,
    ],
    [
      "an unknown provider",
      { acme: { from, smtpUrl: "http://hidden" } },
      / entry "acme", smtpUrl the SMTP URL must/,
    ],
    [
      "a webhook without a secret",
      { acme: { from, smtpUrl: "webhook+https://x.io" } },
      / entry "acme", webhookSecret must/,
    ],
    [
      "XOAUTH2 without a token endpoint",
      { acme: { from, smtpUrl: "smtp://a@x.io?auth=xoauth2" } },
      / entry "acme", oauth is missing/,
    ],
    [
      "a DKIM domain that is not the sender's",
      () => ({ acme: { from, dkim: { domain: "hidden.example", selector: "s", keyFile: keyFile(key) } } }),
      / entry "acme", dkim must be of the sender's domain/,
    ],
    [
      "a missing DKIM key file",
      { acme: { from, dkim: { domain: "x.io", selector: "s", keyFile: "/hidden" } } },
      / entry "acme", dkim.keyFile names a file that cannot be read$/,
    ],
    [
      "a malformed DKIM key",
      () => ({ acme: { from, dkim: { domain: "x.io", selector: "s", keyFile: keyFile("hidden") } } }),
      / entry "acme", dkim.keyFile must be a private RSA key/,
    ],
  ])("refuses %s, naming the entry but not the value", (_name, content, expected) => {
    const path = sendersFile(typeof content === "function" ? content() : content);
    const problems = problemsOf({ ...relay, COUNTERSIGN_SENDERS_FILE: path });
    expect(problems).toEqual([expect.stringMatching(expected)]);
    expect(problems[0]).toMatch(/^COUNTERSIGN_SENDERS_FILE /);
    expect(problems[0]).not.toContain("hidden");
  });

  it("reports all problems at once", () => {
    const content = { acme: { from: "x" }, other: { from, smtpUrl: "x" } };
    expect(problemsOf({ ...relay, COUNTERSIGN_SENDERS_FILE: sendersFile(content) })).toHaveLength(2);
  });

  it("sends the mails of an organization from its own sender", async () => {
    const fallback = await startRelay();
    const acme = await startRelay();
    const test = await startTestApp({
      environment: {
        COUNTERSIGN_SMTP_URL: `smtp://127.0.0.1:${fallback.port}`,
        COUNTERSIGN_MAIL_FROM: "codes@example.com",
        COUNTERSIGN_SENDERS_FILE: sendersFile({
          acme: { from: "Acme <login@acme.example>", smtpUrl: `smtp://127.0.0.1:${acme.port}` },
        }),
      },
    });
    const client = await test.admin();
    for (const org of ["acme", "other"]) {
      await client.createUser({ userId: org, organization: { org: { case: "orgId", value: org } } });
      await client.addOTPEmail({ userId: org, email: { address: `${org}@mouse.com` } });
    }
    await waitFor("both mails", () => acme.received.length + fallback.received.length === 2);
    expect(acme.received).toMatchObject([{ from: "login@acme.example", to: ["acme@mouse.com"] }]);
    expect(fallback.received).toMatchObject([{ from: "codes@example.com", to: ["other@mouse.com"] }]);
    expect(test.logLines.join("")).not.toMatch(/mouse\.com/);
  });
});
