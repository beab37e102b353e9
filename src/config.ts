import type { KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { createSecureContext } from "node:tls";
import * as v from "valibot";
import { readPemKeys } from "./auth/signing-key.ts";
import { parseTrustedProxies } from "./http/client-address.ts";
import { logLevels } from "./log.ts";
import { type OrganizationSender, type Sender, senderProblems } from "./mail/providers/senders.ts";
import type { DkimSettings, OAuthSettings } from "./mail/smtp.ts";
import { codeBits } from "./otp/code.ts";
import type { CodeKey } from "./otp/keys.ts";
import {
  authenticatorGuessProbability,
  defaultPolicy,
  guessProbabilityMax,
  type Policy,
} from "./otp/policy.ts";
import { bounceLocalPartMax } from "./otp/return-path.ts";
import { dkimDomain, dkimKey, dkimSelector, mailFrom, readSendersFile, tokenUrl } from "./sender-settings.ts";
import { type Language, languages } from "./texts/languages.ts";
import { parseEmailAddress } from "./user/email-address.ts";

/** Everything the service is told from outside: read once, checked, frozen. */
export interface Config {
  readonly mode: Mode;
  readonly listen: { readonly host: string; readonly port: number };
  /**
   * Where people and mails reach the service: an origin, without a slash at the end. Undefined under `dev` if none is
   * given: where the service listens.
   */
  readonly publicUrl: string | undefined;
  readonly dataDir: string;
  readonly databaseUrl: string;
  /** Undefined under `dev` if none are given: one is made in the data folder. */
  readonly keys: readonly [CodeKey, ...CodeKey[]] | undefined;
  /** The first signs proofs, all are published. Undefined under `dev` if none are given: one is made in the data folder. */
  readonly proofKeys: readonly [KeyObject, ...KeyObject[]] | undefined;
  /** For whom proofs may be asked for. */
  readonly proofAudiences: "any" | readonly string[];
  readonly issuers: readonly ConfiguredIssuer[];
  /** Whether tokens of `countersign token` are accepted. */
  readonly trustLocalIssuer: boolean;
  readonly audience: string;
  readonly rolesClaim: string;
  /** Undefined under `dev` if none is given: the mailbox in the process. */
  readonly smtpUrl: string | undefined;
  readonly mailFrom: MailFrom;
  /** Of mails and pages to whoever asks for none that there is. */
  readonly defaultLanguage: Language;
  /** Whether the subject of a mail shows its code. */
  readonly codeInSubject: boolean;
  /** The folder of own texts and layouts of mails. */
  readonly templatesDir: string | undefined;
  /** Where mails come back to, each to a variation of its own. Undefined: to the sender. */
  readonly bounceAddress: string | undefined;
  /** With what reports of bounces are signed. Undefined: none are taken. */
  readonly bounceWebhookSecret: Uint8Array | undefined;
  readonly dkim: DkimSettings | undefined;
  /** For the relays whose URL has `?auth=xoauth2`. */
  readonly smtpOAuth: OAuthSettings | undefined;
  readonly mailWebhookSecret: string | undefined;
  /** The senders of organizations, by the id of the organization. */
  readonly senders: Readonly<Record<string, OrganizationSender>>;
  /** Hosts that the user itself may name in a link. Undefined: that of the public URL. */
  readonly linkHosts: readonly string[] | undefined;
  readonly allowedOrigins: readonly string[];
  /** Where people get tokens, for the API reference: URLs, or paths at the first issuer (without one: at this service). */
  readonly oauth: {
    readonly authorizeUrl: string;
    readonly tokenUrl: string;
    readonly scopes: readonly string[];
  };
  /** Whether grpc.reflection tells clients the contract. */
  readonly reflection: boolean;
  /** Whether /metrics is there. */
  readonly metrics: boolean;
  /** Addresses and networks whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[];
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  readonly logLevel: (typeof logLevels)[number];
  readonly policy: Policy;
}

export type Mode = "dev" | "serve";

export interface ConfiguredIssuer {
  readonly issuer: string;
  readonly jwksUri?: string;
}

export interface MailFrom {
  readonly name: string;
  readonly address: string;
}

/** What was wrong with the settings: each by its name, never by its value. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`the settings are not complete or not safe:\n${problems.map((p) => `  ${p}`).join("\n")}`);
    this.name = "ConfigError";
    this.problems = problems;
  }
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the settings of `dev` or `serve`.
 *
 * @throws ConfigError with all problems at once.
 */
export function readConfig(mode: Mode, environment: Environment = process.env): Config {
  const { settings, problems } = parse(schemaOf(mode), environment);
  // What is there and wrong is not missing as well.
  const told = new Set(problems.map((problem) => problem.split(" ", 1)[0]));
  problems.push(
    ...missingIn(mode, settings).filter(
      (problem) => !problem.includes(" is missing: ") || !told.has(problem.split(" ", 1)[0]),
    ),
  );
  if (problems.length > 0) throw new ConfigError(problems);
  return freeze(toConfig(mode, settings));
}

/** Where the data is: what `countersign token` and `countersign migrate` need. */
export function readDataConfig(environment: Environment = process.env) {
  const { settings, problems } = parse(v.object(dataEntries), environment);
  if (problems.length > 0) throw new ConfigError(problems);
  return freeze(toDataConfig(settings));
}

/**
 * Reads what the commands need that work on the data of a server, beside it or while it is stopped: where that is, its keys
 * and its limits. `keys` is undefined if none are given.
 *
 * @throws ConfigError with all problems at once.
 */
export function readOperatorConfig(environment: Environment = process.env) {
  const { settings, problems } = parse(v.object(operatorEntries), environment);
  if (problems.length > 0) throw new ConfigError(problems);
  return freeze({ ...toDataConfig(settings), keys: toKeys(settings), policy: toPolicy(settings) });
}

/**
 * Reads the limits alone, for `countersign doctor`: also where they are not safe, so that it can show why.
 *
 * @throws ConfigError if one of them cannot be read.
 */
export function readPolicy(environment: Environment = process.env): Policy {
  const { settings, problems } = parse(v.object(policyEntries), environment);
  if (problems.length > 0) throw new ConfigError(problems);
  return toPolicy(settings);
}

export type MailConfig = ReturnType<typeof readMailConfig>;

/**
 * Reads what mails are made of and how they leave, for `countersign mail`.
 *
 * @throws ConfigError with all problems at once.
 */
export function readMailConfig(environment: Environment = process.env) {
  const { settings, problems } = parse(v.pick(schemaOf("dev"), mailSettings), environment);
  problems.push(...unusableSender(settings));
  if (problems.length > 0) throw new ConfigError(problems);
  return freeze({
    ...toMailConfig(settings),
    publicUrl: settings.COUNTERSIGN_PUBLIC_URL ?? "https://otp.example.com",
  });
}

// --- values -----------------------------------------------------------------------------------------------------

const text = v.pipe(v.string(), v.trim(), v.nonEmpty("must not be empty"));

const list = v.pipe(
  v.string(),
  v.transform((value) =>
    value
      .split(",")
      .map((item) => item.trim())
      .filter((item) => item !== ""),
  ),
);

function integer(min: number, max: number) {
  return v.pipe(
    text,
    v.regex(/^\d{1,9}$/, `must be a whole number from ${min} to ${max}`),
    v.transform(Number),
    v.minValue(min, `must be at least ${min}`),
    v.maxValue(max, `must be at most ${max}`),
  );
}

/** Off is no limit at all. */
const ceiling = v.pipe(
  text,
  v.regex(/^(off|\d{1,9})$/, 'must be a whole number from 1 to 999999999, or "off"'),
  v.transform((value) => (value === "off" ? Number.POSITIVE_INFINITY : Number(value))),
  v.minValue(1, "must be at least 1"),
);

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** "90s", "10m", "1h" or "1d" in milliseconds, or undefined. */
export function parseDuration(value: string): number | undefined {
  const match = /^(\d{1,6})([smhd])$/.exec(value);
  return match ? Number(match[1]) * unitMs[match[2] as keyof typeof unitMs] : undefined;
}

function duration(minMs: number, maxMs: number, range: string) {
  return v.pipe(
    text,
    v.transform((value) => parseDuration(value) ?? Number.NaN),
    v.check((ms) => ms >= minMs && ms <= maxMs, `must be a duration such as 90s, 10m or 1h, ${range}`),
  );
}

const origin = v.pipe(
  text,
  v.check((value) => {
    const url = parseUrl(value);
    if (url?.pathname !== "/" || url.search || url.hash || url.username || url.password) return false;
    return url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url.hostname));
  }, "must be an https origin such as https://otp.example.com (http for loopback hosts only), without a path"),
  v.transform((value) => new URL(value).origin),
);

const listen = v.pipe(
  text,
  v.regex(
    /^(\[[0-9a-fA-F:.]+\]|[^:[\]\s]+):\d{1,5}$/,
    "must be host:port, such as 127.0.0.1:8080 or [::]:8080",
  ),
  v.transform((value) => {
    const colon = value.lastIndexOf(":");
    return { host: value.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(value.slice(colon + 1)) };
  }),
  v.check(({ port }) => port <= 65_535, "must have a port from 0 to 65535"),
);

const keys = v.pipe(
  list,
  v.minLength(1, "must be id:base64, comma separated"),
  v.transform((items) => items.map(parseKey)),
  v.check(
    (parsed) => parsed.every((key) => key !== undefined),
    "must be id:base64, comma separated; ids are letters, digits, dots, dashes and underscores",
  ),
  v.transform((parsed) => parsed.filter((key) => key !== undefined)),
  v.check(
    (parsed) => parsed.every((key) => key.secret.length >= 32),
    "must hold keys of at least 32 bytes: openssl rand -base64 32 makes one",
  ),
  v.check(
    (parsed) => new Set(parsed.map((key) => key.id)).size === parsed.length,
    "must not use a key id twice",
  ),
);

function parseKey(item: string): CodeKey | undefined {
  const match = /^([A-Za-z0-9._-]{1,64}):([A-Za-z0-9+/_-]+={0,2})$/.exec(item);
  return match ? { id: match[1]!, secret: Buffer.from(match[2]!, "base64") } : undefined;
}

/** The name of the issuer that `countersign token` speaks for. */
const localIssuer = "local";

const issuers = v.pipe(
  list,
  v.minLength(1, "must name at least one issuer"),
  v.check(
    (items) => items.every((item) => item === localIssuer || item.split("|").every(isFetchable)),
    'must be https URLs, comma separated, each alone (its keys are discovered) or as issuer|jwks_uri; or "local" for the tokens of countersign token',
  ),
);

const senders = v.pipe(
  text,
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const { senders, problems } = readSendersFile(dataset.value);
    for (const message of problems) addIssue({ message });
    return problems.length > 0 ? NEVER : senders;
  }),
);

const bounceAddress = v.pipe(
  text,
  v.transform((value) => {
    const parsed = parseEmailAddress(value);
    return parsed.ok ? parsed.address.mailbox : "";
  }),
  v.check((mailbox) => {
    const local = mailbox.slice(0, mailbox.lastIndexOf("@"));
    return local !== "" && local.length <= bounceLocalPartMax && !local.includes("+");
  }, `must be an address such as bounces@example.com: up to ${bounceLocalPartMax} characters before the @, without a +, which takes the place of what is added for each mail`),
);

/** As Standard Webhooks writes it: `whsec_` is part of the notation, not of the secret. */
const webhookSecret = v.pipe(
  text,
  v.regex(
    /^(whsec_)?[A-Za-z0-9+/]+={0,2}$/,
    "must be whsec_ and base64: echo whsec_$(openssl rand -base64 32) makes one",
  ),
  v.transform((value) => Buffer.from(value.replace(/^whsec_/, ""), "base64")),
  v.check(({ length }) => length >= 24 && length <= 64, "must have 24 to 64 bytes (Standard Webhooks)"),
);

const hosts = v.pipe(
  list,
  v.check(
    (items) => items.every((item) => parseUrl(`https://${item}/`)?.host === item.toLowerCase()),
    "must be hosts, comma separated, such as app.example.com or localhost:3000",
  ),
  v.transform((items) => items.map((item) => item.toLowerCase())),
);

const proxies = v.pipe(
  list,
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    try {
      parseTrustedProxies(dataset.value);
      return dataset.value;
    } catch {
      addIssue({ message: "must be addresses and networks, comma separated, such as 10.0.0.0/8,::1" });
      return NEVER;
    }
  }),
);

const origins = v.pipe(
  list,
  v.check(
    (items) =>
      (items.length === 1 && items[0] === "*") || items.every((item) => parseUrl(item)?.origin === item),
    'must be origins, comma separated, such as https://app.example.com; or "*" alone',
  ),
);

const endpoint = v.pipe(
  text,
  v.check(
    (value) => /^\/(?!\/)[^?#]*$/.test(value) || (isFetchable(value) && !parseUrl(value)?.password),
    "must be an https URL without a password, or a path such as /oauth/v2/authorize",
  ),
);

/** PEM text, or the path of a file that holds it. */
const pem = v.pipe(
  text,
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    if (dataset.value.startsWith("-----BEGIN ")) return dataset.value;
    try {
      return readFileSync(dataset.value, "utf8");
    } catch {
      addIssue({ message: "must be PEM text, or the path of a file that can be read" });
      return NEVER;
    }
  }),
  v.check((value) => value.includes("-----BEGIN "), "must be PEM text, or the path of a PEM file"),
);

const proofKeys = v.pipe(
  pem,
  v.transform(readPemKeys),
  v.check(
    (parsed) => parsed !== undefined,
    "must be private keys on P-256, each once: openssl ecparam -genkey -name prime256v1 -noout makes one",
  ),
);

// --- settings ---------------------------------------------------------------------------------------------------

const dataEntries = {
  COUNTERSIGN_DATA_DIR: v.optional(text, "./data"),
  COUNTERSIGN_DATABASE_URL: v.optional(
    v.pipe(
      text,
      v.regex(
        /^sqlite:.|^postgres(ql)?:\/\/./,
        "must be sqlite:PATH or postgres://user:password@host:port/database",
      ),
    ),
  ),
  COUNTERSIGN_AUDIENCE: v.optional(text),
};

const policyEntries = {
  COUNTERSIGN_OTP_EMAILS_MAX: v.optional(integer(1, 100), "10"),
  COUNTERSIGN_CODE_ALPHABET: v.optional(
    v.picklist(["crockford", "digits"], "must be crockford or digits"),
    "crockford",
  ),
  COUNTERSIGN_CODE_LENGTH: v.optional(integer(4, 12), "8"),
  COUNTERSIGN_CODE_TTL: v.optional(duration(30_000, 600_000, "30s to 10m (ASVS 6.5.5)"), "10m"),
  COUNTERSIGN_LOGIN_CODE_LENGTH: v.optional(integer(6, 12), "6"),
  COUNTERSIGN_LOGIN_CODE_TTL: v.optional(duration(30_000, 600_000, "30s to 10m (ASVS 6.5.5)"), "5m"),
  COUNTERSIGN_CODE_ATTEMPTS_MAX: v.optional(integer(1, 20), "5"),
  COUNTERSIGN_ATTEMPTS_PER_HOUR_MAX: v.optional(integer(1, 100), "10"),
  COUNTERSIGN_ATTEMPTS_IN_ROW_MAX: v.optional(integer(1, 1_000), "100"),
  COUNTERSIGN_MAIL_INTERVAL: v.optional(duration(0, 3_600_000, "0s to 1h"), "60s"),
  COUNTERSIGN_MAILS_PER_HOUR_MAX: v.optional(integer(1, 1_000), "5"),
  COUNTERSIGN_MAILS_PER_DAY_MAX: v.optional(integer(1, 1_000), "20"),
  COUNTERSIGN_ADDRESS_MAILS_PER_HOUR_MAX: v.optional(integer(1, 1_000), "5"),
  COUNTERSIGN_CLIENT_MAILS_PER_HOUR_MAX: v.optional(ceiling, "1000"),
  COUNTERSIGN_ALL_MAILS_PER_HOUR_MAX: v.optional(ceiling, "10000"),
  COUNTERSIGN_NOTICES_PER_DAY_MAX: v.optional(integer(1, 1_000), "20"),
  COUNTERSIGN_LOCK_MIN: v.optional(duration(1_000, 86_400_000, "1s to 1d"), "5m"),
  COUNTERSIGN_LOCK_MAX: v.optional(duration(1_000, 7 * 86_400_000, "1s to 7d"), "1d"),
};

const operatorEntries = { ...dataEntries, COUNTERSIGN_KEYS: v.optional(keys), ...policyEntries };

function schemaOf(mode: Mode) {
  return v.object({
    ...dataEntries,
    COUNTERSIGN_LISTEN: v.optional(listen, "127.0.0.1:8080"),
    COUNTERSIGN_PUBLIC_URL: v.optional(origin),
    COUNTERSIGN_KEYS: v.optional(keys),
    COUNTERSIGN_PROOF_KEYS: v.optional(proofKeys),
    COUNTERSIGN_PROOF_AUDIENCES: v.optional(list, mode === "dev" ? "*" : ""),
    COUNTERSIGN_ISSUERS: v.optional(issuers),
    COUNTERSIGN_ROLES_CLAIM: v.optional(text, "urn:zitadel:iam:org:project:roles"),
    COUNTERSIGN_SMTP_URL: v.optional(text),
    COUNTERSIGN_MAIL_FROM: v.optional(mailFrom),
    COUNTERSIGN_DEFAULT_LANGUAGE: v.optional(
      v.picklist(languages, `must be one of ${languages.join(", ")}`),
      "en",
    ),
    COUNTERSIGN_CODE_IN_SUBJECT: v.optional(v.picklist(["on", "off"], "must be on or off"), "off"),
    COUNTERSIGN_TEMPLATES_DIR: v.optional(text),
    COUNTERSIGN_BOUNCE_ADDRESS: v.optional(bounceAddress),
    COUNTERSIGN_BOUNCE_WEBHOOK_SECRET: v.optional(webhookSecret),
    COUNTERSIGN_SMTP_OAUTH_TOKEN_URL: v.optional(tokenUrl),
    COUNTERSIGN_SMTP_OAUTH_CLIENT_ID: v.optional(text),
    COUNTERSIGN_SMTP_OAUTH_CLIENT_SECRET: v.optional(text),
    COUNTERSIGN_SMTP_OAUTH_REFRESH_TOKEN: v.optional(text),
    COUNTERSIGN_MAIL_WEBHOOK_SECRET: v.optional(text),
    COUNTERSIGN_DKIM_DOMAIN: v.optional(dkimDomain),
    COUNTERSIGN_DKIM_SELECTOR: v.optional(dkimSelector),
    COUNTERSIGN_DKIM_KEY: v.optional(v.pipe(pem, dkimKey)),
    COUNTERSIGN_SENDERS_FILE: v.optional(senders),
    COUNTERSIGN_LINK_HOSTS: v.optional(hosts),
    COUNTERSIGN_ALLOWED_ORIGINS: v.optional(origins, mode === "dev" ? "*" : ""),
    COUNTERSIGN_OAUTH_AUTHORIZE_URL: v.optional(endpoint, "/oauth/v2/authorize"),
    COUNTERSIGN_OAUTH_TOKEN_URL: v.optional(endpoint, "/oauth/v2/token"),
    COUNTERSIGN_OAUTH_SCOPES: v.optional(list, "openid,urn:zitadel:iam:org:project:id:zitadel:aud"),
    COUNTERSIGN_REFLECTION: v.optional(v.picklist(["on", "off"], "must be on or off"), "on"),
    COUNTERSIGN_METRICS: v.optional(v.picklist(["on", "off"], "must be on or off"), "off"),
    COUNTERSIGN_TRUSTED_PROXIES: v.optional(proxies, ""),
    COUNTERSIGN_TLS_CERT: v.optional(pem),
    COUNTERSIGN_TLS_KEY: v.optional(pem),
    COUNTERSIGN_LOG_LEVEL: v.optional(
      v.picklist(logLevels, `must be one of ${logLevels.join(", ")}`),
      "info",
    ),
    ...policyEntries,
  });
}

type DataSettings = v.InferOutput<v.ObjectSchema<typeof dataEntries, undefined>>;
type PolicySettings = v.InferOutput<v.ObjectSchema<typeof policyEntries, undefined>>;
type Settings = v.InferOutput<ReturnType<typeof schemaOf>>;

/** Settings that may come from a file: NAME_FILE holds its path. */
const secrets = [
  "COUNTERSIGN_KEYS",
  "COUNTERSIGN_PROOF_KEYS",
  "COUNTERSIGN_SMTP_URL",
  "COUNTERSIGN_BOUNCE_WEBHOOK_SECRET",
  "COUNTERSIGN_SMTP_OAUTH_CLIENT_SECRET",
  "COUNTERSIGN_SMTP_OAUTH_REFRESH_TOKEN",
  "COUNTERSIGN_MAIL_WEBHOOK_SECRET",
  "COUNTERSIGN_DKIM_KEY",
  "COUNTERSIGN_DATABASE_URL",
  "COUNTERSIGN_TLS_KEY",
  "COUNTERSIGN_TLS_CERT",
];

function parse<const S extends v.ObjectSchema<v.ObjectEntries, undefined>>(
  schema: S,
  environment: Environment,
) {
  const problems: string[] = [];
  const input = withSecretFiles(environment, problems);
  const result = v.safeParse(schema, input);
  const settings = { ...(result.output as Partial<v.InferOutput<S>>) };
  for (const issue of result.issues ?? []) {
    const name = v.getDotPath(issue) as keyof typeof settings;
    problems.push(`${String(name)} ${issue.message}`);
    // What is not valid takes no part in what must go together.
    delete settings[name];
  }
  return { settings, problems };
}

/** Empty variables count as unset: that is what `docker run -e NAME=` and compose files leave behind. */
function withSecretFiles(environment: Environment, problems: string[]): Record<string, string> {
  const input: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) if (value) input[name] = value;
  for (const name of secrets) {
    const path = input[`${name}_FILE`];
    if (path === undefined) continue;
    if (input[name] !== undefined) {
      problems.push(`${name} and ${name}_FILE are both set: keep one`);
      continue;
    }
    try {
      input[name] = readFileSync(path, "utf8").trim();
    } catch {
      problems.push(`${name}_FILE names a file that cannot be read`);
    }
  }
  return input;
}

/** What `serve` must be told, and what does not go together. */
function missingIn(mode: Mode, settings: Partial<Settings>): string[] {
  const problems: string[] = [];
  if (mode === "serve") {
    for (const [name, why] of Object.entries(neededToServe)) {
      if (settings[name as keyof Settings] === undefined) problems.push(`${name} is missing: ${why}`);
    }
  }
  if ((settings.COUNTERSIGN_TLS_CERT === undefined) !== (settings.COUNTERSIGN_TLS_KEY === undefined)) {
    problems.push("COUNTERSIGN_TLS_CERT and COUNTERSIGN_TLS_KEY go together: set both or neither");
  }
  problems.push(...unusableTls(settings), ...unusableSender(settings), ...unsafePolicy(settings));
  return problems;
}

function unusableTls({ COUNTERSIGN_TLS_CERT: cert, COUNTERSIGN_TLS_KEY: key }: Partial<Settings>): string[] {
  if (cert === undefined || key === undefined) return [];
  try {
    createSecureContext({ cert, key });
    return [];
  } catch {
    return ["COUNTERSIGN_TLS_CERT and COUNTERSIGN_TLS_KEY are not a certificate and its key"];
  }
}

/** Of the settings of a sender, those that tell what `senderProblems` found. */
const senderSettings = {
  from: "COUNTERSIGN_MAIL_FROM",
  smtpUrl: "COUNTERSIGN_SMTP_URL",
  dkim: "COUNTERSIGN_DKIM_DOMAIN",
  oauth: "COUNTERSIGN_SMTP_OAUTH_TOKEN_URL",
  webhookSecret: "COUNTERSIGN_MAIL_WEBHOOK_SECRET",
} as const;

function unusableSender(settings: Partial<Settings>): string[] {
  const problems = [...splitUp(settings, oauthNames), ...splitUp(settings, dkimNames)];
  if (settings.COUNTERSIGN_SMTP_URL === undefined) return problems;
  const found = senderProblems({
    smtpUrl: settings.COUNTERSIGN_SMTP_URL,
    from: settings.COUNTERSIGN_MAIL_FROM ?? developmentFrom,
    // Without a sender there is nothing to compare its domain with.
    dkim: settings.COUNTERSIGN_MAIL_FROM && toDkim(settings),
    oauth: toOAuth(settings),
    webhookSecret: settings.COUNTERSIGN_MAIL_WEBHOOK_SECRET,
  });
  return [...problems, ...found.map(({ setting, problem }) => `${senderSettings[setting]} ${problem}`)];
}

const oauthNames = [
  "COUNTERSIGN_SMTP_OAUTH_TOKEN_URL",
  "COUNTERSIGN_SMTP_OAUTH_CLIENT_ID",
  "COUNTERSIGN_SMTP_OAUTH_CLIENT_SECRET",
  "COUNTERSIGN_SMTP_OAUTH_REFRESH_TOKEN",
] as const;

const dkimNames = ["COUNTERSIGN_DKIM_DOMAIN", "COUNTERSIGN_DKIM_SELECTOR", "COUNTERSIGN_DKIM_KEY"] as const;

/** Of settings that go together: those that are missing while others are there. */
function splitUp(settings: Partial<Settings>, names: readonly (keyof Settings)[]): string[] {
  const missing = names.filter((name) => settings[name] === undefined);
  if (missing.length === names.length) return [];
  return missing.map((name) => `${name} is missing: ${names.join(", ")} go together`);
}

function toOAuth(settings: Partial<Settings>): OAuthSettings | undefined {
  const [tokenUrl, clientId, clientSecret, refreshToken] = oauthNames.map((name) => settings[name]);
  if (!tokenUrl || !clientId || !clientSecret || !refreshToken) return undefined;
  return { tokenUrl, clientId, clientSecret, refreshToken };
}

function toDkim(settings: Partial<Settings>): DkimSettings | undefined {
  const [domain, selector, privateKey] = dkimNames.map((name) => settings[name]);
  return domain && selector && privateKey ? { domain, selector, privateKey } : undefined;
}

const developmentFrom = { name: "Countersign", address: "countersign@dev.example" };

const neededToServe = {
  COUNTERSIGN_PUBLIC_URL: "the links in mails begin with it",
  COUNTERSIGN_KEYS: "codes are derived from them; openssl rand -base64 32 makes one",
  COUNTERSIGN_PROOF_KEYS:
    "proofs of logins are signed with them; openssl ecparam -genkey -name prime256v1 -noout makes one",
  COUNTERSIGN_ISSUERS: "whose tokens are accepted",
  COUNTERSIGN_AUDIENCE: "the aud that tokens for this service carry",
  COUNTERSIGN_SMTP_URL: "mails leave through it",
  COUNTERSIGN_MAIL_FROM: "mails come from it",
} as const;

function unsafePolicy(settings: Partial<Settings>): string[] {
  const policy = toPolicy(settings);
  const problems: string[] = [];
  if (policy.attempts.lockMsMax < policy.attempts.lockMsMin) {
    problems.push("COUNTERSIGN_LOCK_MAX must not be shorter than COUNTERSIGN_LOCK_MIN");
  }
  if (codeBits(policy.enrolment.format) < 19.9) {
    problems.push(
      "COUNTERSIGN_CODE_LENGTH is too short: at least 6 digits or 4 letters (20 bits, ASVS 6.5.4)",
    );
  }
  if (authenticatorGuessProbability(policy) > guessProbabilityMax) {
    problems.push(
      "COUNTERSIGN_CODE_LENGTH, COUNTERSIGN_LOGIN_CODE_LENGTH, COUNTERSIGN_CODE_ATTEMPTS_MAX, " +
        "COUNTERSIGN_ATTEMPTS_PER_HOUR_MAX, COUNTERSIGN_ATTEMPTS_IN_ROW_MAX, COUNTERSIGN_LOCK_MIN, COUNTERSIGN_LOCK_MAX and COUNTERSIGN_MAILS_PER_DAY_MAX " +
        `together let one authenticator be guessed with a probability above ${guessProbabilityMax} in a day: lengthen the ` +
        "code or the lock, or allow fewer attempts or mails (countersign doctor limits shows the sum)",
    );
  }
  return problems;
}

function toPolicy(settings: Partial<PolicySettings>): Policy {
  const { otpEmailsMax, enrolment, login, attempts, mails } = defaultPolicy;
  const attemptsMax = settings.COUNTERSIGN_CODE_ATTEMPTS_MAX ?? enrolment.attemptsMax;
  return {
    otpEmailsMax: settings.COUNTERSIGN_OTP_EMAILS_MAX ?? otpEmailsMax,
    enrolment: {
      format: {
        alphabet: settings.COUNTERSIGN_CODE_ALPHABET ?? enrolment.format.alphabet,
        length: settings.COUNTERSIGN_CODE_LENGTH ?? enrolment.format.length,
      },
      codeTtlMs: settings.COUNTERSIGN_CODE_TTL ?? enrolment.codeTtlMs,
      attemptsMax,
    },
    login: {
      format: {
        alphabet: login.format.alphabet,
        length: settings.COUNTERSIGN_LOGIN_CODE_LENGTH ?? login.format.length,
      },
      codeTtlMs: settings.COUNTERSIGN_LOGIN_CODE_TTL ?? login.codeTtlMs,
      attemptsMax,
    },
    attempts: {
      perHourMax: settings.COUNTERSIGN_ATTEMPTS_PER_HOUR_MAX ?? attempts.perHourMax,
      inRowMax: settings.COUNTERSIGN_ATTEMPTS_IN_ROW_MAX ?? attempts.inRowMax,
      lockMsMin: settings.COUNTERSIGN_LOCK_MIN ?? attempts.lockMsMin,
      lockMsMax: settings.COUNTERSIGN_LOCK_MAX ?? attempts.lockMsMax,
    },
    mails: {
      intervalMs: settings.COUNTERSIGN_MAIL_INTERVAL ?? mails.intervalMs,
      perHourMax: settings.COUNTERSIGN_MAILS_PER_HOUR_MAX ?? mails.perHourMax,
      perDayMax: settings.COUNTERSIGN_MAILS_PER_DAY_MAX ?? mails.perDayMax,
      perAddressHourMax: settings.COUNTERSIGN_ADDRESS_MAILS_PER_HOUR_MAX ?? mails.perAddressHourMax,
      perClientHourMax: settings.COUNTERSIGN_CLIENT_MAILS_PER_HOUR_MAX ?? mails.perClientHourMax,
      allHourMax: settings.COUNTERSIGN_ALL_MAILS_PER_HOUR_MAX ?? mails.allHourMax,
      noticesPerDayMax: settings.COUNTERSIGN_NOTICES_PER_DAY_MAX ?? mails.noticesPerDayMax,
    },
  };
}

function toDataConfig(settings: Partial<DataSettings>) {
  const dataDir = resolve(settings.COUNTERSIGN_DATA_DIR ?? "./data");
  return {
    dataDir,
    databaseUrl: settings.COUNTERSIGN_DATABASE_URL ?? `sqlite:${dataDir}/countersign.db`,
    audience: settings.COUNTERSIGN_AUDIENCE ?? "countersign",
  };
}

function toConfig(mode: Mode, settings: Partial<Settings>): Config {
  const tls = settings.COUNTERSIGN_TLS_CERT &&
    settings.COUNTERSIGN_TLS_KEY && {
      cert: settings.COUNTERSIGN_TLS_CERT,
      key: settings.COUNTERSIGN_TLS_KEY,
    };
  const named = settings.COUNTERSIGN_ISSUERS ?? [];
  const audiences = settings.COUNTERSIGN_PROOF_AUDIENCES;
  return {
    ...toDataConfig(settings),
    mode,
    listen: settings.COUNTERSIGN_LISTEN ?? { host: "127.0.0.1", port: 8080 },
    publicUrl: settings.COUNTERSIGN_PUBLIC_URL,
    keys: toKeys(settings),
    proofKeys: settings.COUNTERSIGN_PROOF_KEYS,
    proofAudiences: audiences?.includes("*") ? "any" : (audiences ?? []),
    issuers: named.filter((item) => item !== localIssuer).map(toIssuer),
    trustLocalIssuer: mode === "dev" || named.includes(localIssuer),
    rolesClaim: settings.COUNTERSIGN_ROLES_CLAIM ?? "",
    ...toMailConfig(settings),
    bounceAddress: settings.COUNTERSIGN_BOUNCE_ADDRESS,
    bounceWebhookSecret: settings.COUNTERSIGN_BOUNCE_WEBHOOK_SECRET,
    linkHosts: settings.COUNTERSIGN_LINK_HOSTS,
    allowedOrigins: settings.COUNTERSIGN_ALLOWED_ORIGINS ?? [],
    oauth: {
      authorizeUrl: settings.COUNTERSIGN_OAUTH_AUTHORIZE_URL ?? "",
      tokenUrl: settings.COUNTERSIGN_OAUTH_TOKEN_URL ?? "",
      scopes: settings.COUNTERSIGN_OAUTH_SCOPES ?? [],
    },
    reflection: settings.COUNTERSIGN_REFLECTION !== "off",
    metrics: settings.COUNTERSIGN_METRICS === "on",
    trustedProxies: settings.COUNTERSIGN_TRUSTED_PROXIES ?? [],
    tls: tls || undefined,
    logLevel: settings.COUNTERSIGN_LOG_LEVEL ?? "info",
    policy: toPolicy(settings),
  };
}

const mailSettings = [
  "COUNTERSIGN_PUBLIC_URL",
  "COUNTERSIGN_SMTP_URL",
  "COUNTERSIGN_MAIL_FROM",
  "COUNTERSIGN_DEFAULT_LANGUAGE",
  "COUNTERSIGN_CODE_IN_SUBJECT",
  "COUNTERSIGN_TEMPLATES_DIR",
  "COUNTERSIGN_SMTP_OAUTH_TOKEN_URL",
  "COUNTERSIGN_SMTP_OAUTH_CLIENT_ID",
  "COUNTERSIGN_SMTP_OAUTH_CLIENT_SECRET",
  "COUNTERSIGN_SMTP_OAUTH_REFRESH_TOKEN",
  "COUNTERSIGN_MAIL_WEBHOOK_SECRET",
  "COUNTERSIGN_DKIM_DOMAIN",
  "COUNTERSIGN_DKIM_SELECTOR",
  "COUNTERSIGN_DKIM_KEY",
  "COUNTERSIGN_SENDERS_FILE",
] as const;

/** By which providers mails leave that no organization has its own for. Undefined: none is set. */
export function senderOf(
  config: Pick<Config, "smtpUrl" | "mailFrom" | "dkim" | "smtpOAuth" | "mailWebhookSecret">,
): Sender | undefined {
  const { smtpUrl, mailFrom: from, dkim, smtpOAuth: oauth, mailWebhookSecret: webhookSecret } = config;
  return smtpUrl === undefined ? undefined : { smtpUrl, from, dkim, oauth, webhookSecret };
}

function toMailConfig(settings: Partial<Settings>) {
  return {
    smtpUrl: settings.COUNTERSIGN_SMTP_URL,
    mailFrom: settings.COUNTERSIGN_MAIL_FROM ?? developmentFrom,
    dkim: toDkim(settings),
    smtpOAuth: toOAuth(settings),
    mailWebhookSecret: settings.COUNTERSIGN_MAIL_WEBHOOK_SECRET,
    senders: settings.COUNTERSIGN_SENDERS_FILE ?? {},
    defaultLanguage: settings.COUNTERSIGN_DEFAULT_LANGUAGE ?? "en",
    codeInSubject: settings.COUNTERSIGN_CODE_IN_SUBJECT === "on",
    templatesDir: settings.COUNTERSIGN_TEMPLATES_DIR,
  };
}

function toKeys({ COUNTERSIGN_KEYS = [] }: Pick<Partial<Settings>, "COUNTERSIGN_KEYS">): Config["keys"] {
  const [first, ...others] = COUNTERSIGN_KEYS;
  return first && [first, ...others];
}

function toIssuer(item: string): ConfiguredIssuer {
  const [issuer = "", jwksUri] = item.split("|");
  return jwksUri === undefined ? { issuer } : { issuer, jwksUri };
}

function parseUrl(value: string): URL | undefined {
  return URL.canParse(value) ? new URL(value) : undefined;
}

function isFetchable(value: string): boolean {
  const url = parseUrl(value);
  return url?.protocol === "https:" || (url?.protocol === "http:" && isLoopback(url.hostname));
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d{1,3}){3}$/.test(hostname);
}

function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value)) {
    for (const part of Object.values(value)) freeze(part);
    Object.freeze(value);
  }
  return value;
}
