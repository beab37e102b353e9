import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { readConfig, readDataConfig } from "../../src/config/config.ts";
import { ConfigError } from "../../src/config/config-error.ts";
import { temporaryFolder } from "../support/folder.ts";
import { proofKey } from "../support/proof-key.ts";

const key = Buffer.alloc(32, 7).toString("base64");

const complete = {
  COUNTERSIGN_PUBLIC_URL: "https://otp.example.com",
  COUNTERSIGN_KEYS: `k1:${key}`,
  COUNTERSIGN_PROOF_KEYS: proofKey(),
  COUNTERSIGN_ISSUERS: "https://id.example.com",
  COUNTERSIGN_AUDIENCE: "countersign",
  COUNTERSIGN_SMTP_URL: "smtps://user:secret@mail.example.com",
  COUNTERSIGN_MAIL_FROM: "Example <codes@example.com>",
};

const proofKeysWrong = /^COUNTERSIGN_PROOF_KEYS must be private keys on P-256/;
const repeated = /^COUNTERSIGN_\w+ must not list an item twice$/;
const twice = (text: string) => text + text;

function problemsOf(environment: Record<string, string>, mode: "dev" | "serve" = "serve"): readonly string[] {
  try {
    readConfig(mode, environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe("serve", () => {
  it("reads a complete environment and freezes the result", () => {
    const config = readConfig("serve", complete);
    expect(config).toMatchObject({
      mode: "serve",
      listen: { host: "127.0.0.1", port: 8080 },
      publicUrl: "https://otp.example.com",
      issuers: [{ issuer: "https://id.example.com" }],
      trustLocalIssuer: false,
      reflection: true,
      mailFrom: { name: "Example", address: "codes@example.com" },
      allowedOrigins: [],
      tls: undefined,
      policy: {
        otpEmailsMax: 10,
        enrolment: { format: { alphabet: "crockford", length: 8 }, codeTtlMs: 600_000, attemptsMax: 5 },
        login: { format: { alphabet: "digits", length: 6 }, codeTtlMs: 300_000, attemptsMax: 5 },
        attempts: { perHourMax: 10, inRowMax: 100, lockMsMin: 300_000, lockMsMax: 86_400_000 },
        mails: {
          intervalMs: 60_000,
          perHourMax: 5,
          perDayMax: 20,
          perAddressHourMax: 5,
          perClientHourMax: 1_000,
          allHourMax: 10_000,
          noticesPerDayMax: 20,
        },
      },
      trustedProxies: [],
    });
    expect(config.keys?.map(({ id, secret }) => [id, secret.length])).toEqual([["k1", 32]]);
    expect(Object.isFrozen(config) && Object.isFrozen(config.policy.enrolment.format)).toBe(true);
  });

  it("F35 reports all missing settings at once", () => {
    const names = problemsOf({}).map((problem) => problem.split(" ")[0]);
    expect(names).toEqual(Object.keys(complete));
  });

  it("treats an empty variable as unset", () => {
    expect(problemsOf({ ...complete, COUNTERSIGN_AUDIENCE: "" })).toEqual([
      expect.stringMatching(/^COUNTERSIGN_AUDIENCE is missing/),
    ]);
  });

  it.each<[string, Record<string, string>, RegExp]>([
    ["a short key", { COUNTERSIGN_KEYS: "k1:c2hvcnQtc2VjcmV0" }, /^COUNTERSIGN_KEYS .*at least 32 bytes/],
    ["malformed proof keys", { COUNTERSIGN_PROOF_KEYS: "-----BEGIN PRIVATE KEY-----" }, proofKeysWrong],
    ["a proof key on another curve", { COUNTERSIGN_PROOF_KEYS: proofKey("P-384") }, proofKeysWrong],
    ["a repeated proof key", { COUNTERSIGN_PROOF_KEYS: twice(proofKey()) }, proofKeysWrong],
    ["a key without an id", { COUNTERSIGN_KEYS: key }, /^COUNTERSIGN_KEYS must be id:base64/],
    ["a key that is not base64", { COUNTERSIGN_KEYS: "k1:???" }, /^COUNTERSIGN_KEYS must be id:base64/],
    [
      "a repeated key id",
      { COUNTERSIGN_KEYS: `k1:${key},k1:${key}` },
      /^COUNTERSIGN_KEYS must not use a key id twice/,
    ],
    [
      "zero authenticators",
      { COUNTERSIGN_OTP_EMAILS_MAX: "0" },
      /^COUNTERSIGN_OTP_EMAILS_MAX must be at least 1/,
    ],
    [
      "a public URL without TLS",
      { COUNTERSIGN_PUBLIC_URL: "http://otp.example.com" },
      /^COUNTERSIGN_PUBLIC_URL must be an https/,
    ],
    [
      "a public URL with a path",
      { COUNTERSIGN_PUBLIC_URL: "https://otp.example.com/x" },
      /^COUNTERSIGN_PUBLIC_URL/,
    ],
    [
      "a public URL with a user",
      { COUNTERSIGN_PUBLIC_URL: "https://a@otp.example.com" },
      /^COUNTERSIGN_PUBLIC_URL/,
    ],
    ["an issuer without TLS", { COUNTERSIGN_ISSUERS: "http://id.example.com" }, /^COUNTERSIGN_ISSUERS/],
    [
      "an SMTP URL with another scheme",
      { COUNTERSIGN_SMTP_URL: "https://secret@mail.example.com" },
      /^COUNTERSIGN_SMTP_URL/,
    ],
    ["two senders", { COUNTERSIGN_MAIL_FROM: "a@example.com, b@example.com" }, /^COUNTERSIGN_MAIL_FROM/],
    [
      "a line feed in the sender",
      { COUNTERSIGN_MAIL_FROM: "A\nBcc: <b@example.com>" },
      /^COUNTERSIGN_MAIL_FROM/,
    ],
    ["a port beyond 65535", { COUNTERSIGN_LISTEN: "127.0.0.1:70000" }, /^COUNTERSIGN_LISTEN/],
    ["a listener without a port", { COUNTERSIGN_LISTEN: "127.0.0.1" }, /^COUNTERSIGN_LISTEN/],
    [
      "an unsupported database",
      { COUNTERSIGN_DATABASE_URL: "mysql://secret@db" },
      /^COUNTERSIGN_DATABASE_URL/,
    ],
    ["a link host with a path", { COUNTERSIGN_LINK_HOSTS: "app.example.com/x" }, /^COUNTERSIGN_LINK_HOSTS/],
    [
      "an origin with a path",
      { COUNTERSIGN_ALLOWED_ORIGINS: "https://app.example.com/" },
      /^COUNTERSIGN_ALLOWED_ORIGINS/,
    ],
    [
      "a wildcard beside an origin",
      { COUNTERSIGN_ALLOWED_ORIGINS: "*,https://app.example.com" },
      /^COUNTERSIGN_ALLOWED_ORIGINS/,
    ],
    [
      "a token endpoint without TLS",
      { COUNTERSIGN_OAUTH_TOKEN_URL: "http://id.example.com/token" },
      /^COUNTERSIGN_OAUTH_TOKEN_URL must be an https URL/,
    ],
    [
      "an authorization endpoint without a scheme",
      { COUNTERSIGN_OAUTH_AUTHORIZE_URL: "//evil.example/authorize" },
      /^COUNTERSIGN_OAUTH_AUTHORIZE_URL must be/,
    ],
    [
      "a token endpoint with a password",
      { COUNTERSIGN_OAUTH_TOKEN_URL: "https://me:secret@id.example.com/token" },
      /^COUNTERSIGN_OAUTH_TOKEN_URL must be/,
    ],
    ["a certificate without its key", { COUNTERSIGN_TLS_CERT: "-----BEGIN CERTIFICATE-----" }, /go together/],
    [
      "a missing key file",
      { COUNTERSIGN_TLS_KEY: "/nowhere/secret.pem" },
      /^COUNTERSIGN_TLS_KEY must be PEM/,
    ],
    [
      "a certificate that is not PEM",
      { COUNTERSIGN_TLS_CERT: fileURLToPath(new URL("../../LICENSE", import.meta.url)) },
      /^COUNTERSIGN_TLS_CERT must be PEM/,
    ],
    [
      "a malformed certificate and key",
      {
        COUNTERSIGN_TLS_CERT: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        COUNTERSIGN_TLS_KEY: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
      },
      /are not a certificate and its key/,
    ],
    ["an unknown log level", { COUNTERSIGN_LOG_LEVEL: "loud" }, /^COUNTERSIGN_LOG_LEVEL/],
    [
      "a code lifetime above 10 minutes",
      { COUNTERSIGN_CODE_TTL: "11m" },
      /^COUNTERSIGN_CODE_TTL .*10m \(ASVS/,
    ],
    [
      "a duration without a unit",
      { COUNTERSIGN_CODE_TTL: "600" },
      /^COUNTERSIGN_CODE_TTL must be a duration/,
    ],
    [
      "codes of five digits",
      { COUNTERSIGN_CODE_ALPHABET: "digits", COUNTERSIGN_CODE_LENGTH: "5" },
      /too short/,
    ],
    [
      "codes that are easy to guess",
      {
        COUNTERSIGN_CODE_ALPHABET: "digits",
        COUNTERSIGN_CODE_LENGTH: "6",
        COUNTERSIGN_CODE_ATTEMPTS_MAX: "20",
      },
      /guessed with a probability above 0.0001 in a day/,
    ],
    [
      "login codes of five digits",
      { COUNTERSIGN_LOGIN_CODE_LENGTH: "5" },
      /^COUNTERSIGN_LOGIN_CODE_LENGTH .*at least 6/,
    ],
    [
      "a login code lifetime above 10 minutes",
      { COUNTERSIGN_LOGIN_CODE_TTL: "11m" },
      /^COUNTERSIGN_LOGIN_CODE_TTL .*10m \(ASVS/,
    ],
    [
      "login codes that are easy to guess",
      { COUNTERSIGN_CODE_ATTEMPTS_MAX: "6" },
      /COUNTERSIGN_LOGIN_CODE_LENGTH.* together let one authenticator be guessed/,
    ],
    [
      "mail limits that allow too many codes",
      { COUNTERSIGN_MAILS_PER_DAY_MAX: "21" },
      /COUNTERSIGN_MAILS_PER_DAY_MAX together let one authenticator be guessed/,
    ],
    [
      "a proxy that is not an address",
      { COUNTERSIGN_TRUSTED_PROXIES: "10.0.0.0/8, lb.example.com" },
      /^COUNTERSIGN_TRUSTED_PROXIES must be addresses and networks/,
    ],
    [
      "a longest lock shorter than the first",
      { COUNTERSIGN_LOCK_MIN: "10m", COUNTERSIGN_LOCK_MAX: "5m" },
      /^COUNTERSIGN_LOCK_MAX/,
    ],
    ["a repeated issuer", { COUNTERSIGN_ISSUERS: "https://id.example.com,https://id.example.com" }, repeated],
    [
      "an issuer with two key sets",
      { COUNTERSIGN_ISSUERS: "https://id.example.com,https://id.example.com|https://id.example.com/keys" },
      /^COUNTERSIGN_ISSUERS must not name an issuer twice$/,
    ],
    [
      "a repeated link host",
      { COUNTERSIGN_LINK_HOSTS: "app.example.com,APP.example.com" },
      /^COUNTERSIGN_LINK_HOSTS must not list a host twice$/,
    ],
    ["a repeated audience", { COUNTERSIGN_PROOF_AUDIENCES: "app, app" }, repeated],
    [
      "a repeated mail provider",
      { COUNTERSIGN_SMTP_URL: "smtp://mail.example.com smtp://mail.example.com" },
      /^COUNTERSIGN_SMTP_URL must not name a provider twice$/,
    ],
    ["a secret that is set twice", { COUNTERSIGN_KEYS_FILE: "/nowhere" }, /both set/],
  ])("F35 refuses %s without quoting the value", (_name, settings, message) => {
    const problems = problemsOf({ ...complete, ...settings });
    expect(
      problems.some((problem) => message.test(problem)),
      problems.join("\n"),
    ).toBe(true);
    for (const problem of problems) {
      expect(problem).not.toMatch(/secret|nowhere/);
      expect(problem).not.toContain(key);
    }
  });

  it("reads secrets from files", () => {
    const folder = temporaryFolder();
    const file = join(folder, "keys");
    writeFileSync(file, `k1:${key},old:${key}\n`);
    const { COUNTERSIGN_KEYS: _, ...rest } = complete;
    const config = readConfig("serve", { ...rest, COUNTERSIGN_KEYS_FILE: file });
    expect(config.keys?.map(({ id }) => id)).toEqual(["k1", "old"]);
    expect(problemsOf({ ...rest, COUNTERSIGN_KEYS_FILE: join(folder, "none") })).toEqual([
      "COUNTERSIGN_KEYS_FILE names a file that cannot be read",
    ]);
  });

  it("doesn't report an invalid setting as missing too", () => {
    expect(problemsOf({ ...complete, COUNTERSIGN_KEYS: "k1", COUNTERSIGN_AUDIENCE: "" })).toEqual([
      expect.stringMatching(/^COUNTERSIGN_KEYS must be id:base64/),
      expect.stringMatching(/^COUNTERSIGN_AUDIENCE is missing/),
    ]);
    const oauth = { COUNTERSIGN_SMTP_OAUTH_TOKEN_URL: "x", COUNTERSIGN_SMTP_OAUTH_CLIENT_ID: "id" };
    const smtpUrl = { COUNTERSIGN_SMTP_URL: "smtp://user@mail.example.com?auth=xoauth2" };
    expect(problemsOf({ ...complete, ...smtpUrl, ...oauth })).toEqual([
      expect.stringMatching(/^COUNTERSIGN_SMTP_OAUTH_TOKEN_URL must be an https URL/),
      expect.stringMatching(/^COUNTERSIGN_SMTP_OAUTH_CLIENT_SECRET is missing/),
      expect.stringMatching(/^COUNTERSIGN_SMTP_OAUTH_REFRESH_TOKEN is missing/),
    ]);
  });

  it("allows no proof audiences by default, and any under dev", () => {
    const audiencesOf = (audiences: Record<string, string>, mode: "dev" | "serve" = "serve") =>
      readConfig(mode, { ...complete, ...audiences }).proofAudiences;
    expect(audiencesOf({})).toEqual([]);
    expect(audiencesOf({}, "dev")).toBe("any");
    expect(audiencesOf({ COUNTERSIGN_PROOF_AUDIENCES: "a, b" })).toEqual(["a", "b"]);
  });

  it("trusts the local issuer only if it is listed", () => {
    const config = readConfig("serve", {
      ...complete,
      COUNTERSIGN_ISSUERS: "local,https://a.example|https://a.example/k",
    });
    expect(config.trustLocalIssuer).toBe(true);
    expect(config.issuers).toEqual([{ issuer: "https://a.example", jwksUri: "https://a.example/k" }]);
  });
});

describe("dev", () => {
  it("starts without any setting", () => {
    const config = readConfig("dev", {});
    expect(config).toMatchObject({
      mode: "dev",
      listen: { host: "127.0.0.1", port: 8080 },
      audience: "countersign",
      trustLocalIssuer: true,
      keys: undefined,
      smtpUrl: undefined,
      allowedOrigins: ["*"],
    });
    expect(config.databaseUrl).toMatch(/^sqlite:\/.*\/data\/countersign\.db$/);
  });

  it("enforces the same limits as serve", () => {
    expect(
      problemsOf({ COUNTERSIGN_CODE_ALPHABET: "digits", COUNTERSIGN_CODE_LENGTH: "4" }, "dev"),
    ).not.toEqual([]);
  });
});

describe("readDataConfig", () => {
  it("puts the database into the data folder", () => {
    expect(readDataConfig({ COUNTERSIGN_DATA_DIR: "/srv/countersign" })).toEqual({
      dataDir: "/srv/countersign",
      databaseUrl: "sqlite:/srv/countersign/countersign.db",
      audience: "countersign",
    });
  });
});
