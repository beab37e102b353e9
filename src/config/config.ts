import type { KeyObject } from "node:crypto";
import * as v from "valibot";
import type { logLevels } from "../lib/log.ts";
import type { DkimSettings, MailAddress, OAuthSettings } from "../mail/mailer.ts";
import type { OrganizationSender } from "../mail/providers/senders.ts";
import type { CodeKey } from "../otp/codes/keys.ts";
import type { Policy } from "../otp/policy.ts";
import type { Language } from "../texts/languages.ts";
import { bounceEntries } from "./bounces.ts";
import { type ConfiguredIssuer, callerEntries, toCallerConfig } from "./callers.ts";
import { dataEntries, toDataConfig } from "./data.ts";
import { codeKeyEntries, proofEntries, toKeys } from "./keys.ts";
import { policyEntries, toPolicy, unsafePolicy } from "./limits.ts";
import { listenerEntries, publicUrlEntries, toListenerConfig, unusableTls } from "./listener.ts";
import { mailEntries, toMailConfig, unusableSender } from "./mail.ts";
import { type Environment, parseSettings } from "./parse-settings.ts";

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
  readonly mailFrom: MailAddress;
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

/** What was wrong with the settings: each by its name, never by its value. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`the settings are not complete or not safe:\n${problems.map((p) => `  ${p}`).join("\n")}`);
    this.name = "ConfigError";
    this.problems = problems;
  }
}

const schema = v.object({
  ...dataEntries,
  ...listenerEntries,
  ...publicUrlEntries,
  ...codeKeyEntries,
  ...proofEntries,
  ...callerEntries,
  ...mailEntries,
  ...bounceEntries,
  ...policyEntries,
});

type Settings = v.InferOutput<typeof schema>;

/**
 * Reads the settings of `dev` or `serve`.
 *
 * @throws ConfigError with all problems at once.
 */
export function readConfig(mode: Mode, environment: Environment = process.env): Config {
  const { settings, problems } = parseSettings(schema, environment);
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
  const { settings, problems } = parseSettings(v.object(dataEntries), environment);
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
  const { settings, problems } = parseSettings(
    v.object({ ...dataEntries, ...codeKeyEntries, ...policyEntries }),
    environment,
  );
  if (problems.length > 0) throw new ConfigError(problems);
  return freeze({ ...toDataConfig(settings), keys: toKeys(settings), policy: toPolicy(settings) });
}

/**
 * Reads the limits alone, for `countersign doctor`: also where they are not safe, so that it can show why.
 *
 * @throws ConfigError if one of them cannot be read.
 */
export function readPolicy(environment: Environment = process.env): Policy {
  const { settings, problems } = parseSettings(v.object(policyEntries), environment);
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
  const { settings, problems } = parseSettings(
    v.object({ ...publicUrlEntries, ...mailEntries }),
    environment,
  );
  problems.push(...unusableSender(settings));
  if (problems.length > 0) throw new ConfigError(problems);
  return freeze({
    ...toMailConfig(settings),
    publicUrl: settings.COUNTERSIGN_PUBLIC_URL ?? "https://otp.example.com",
  });
}

/** What `serve` must be told, and what does not go together. */
function missingIn(mode: Mode, settings: Partial<Settings>): string[] {
  const problems: string[] = [];
  if (mode === "serve") {
    for (const [name, why] of Object.entries(neededToServe)) {
      if (settings[name as keyof Settings] === undefined) problems.push(`${name} is missing: ${why}`);
    }
  }
  problems.push(...unusableTls(settings), ...unusableSender(settings), ...unsafePolicy(settings));
  return problems;
}

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

function toConfig(mode: Mode, settings: Partial<Settings>): Config {
  const forAnyone = mode === "dev" ? ["*"] : [];
  const audiences = settings.COUNTERSIGN_PROOF_AUDIENCES ?? forAnyone;
  const callers = toCallerConfig(settings);
  return {
    mode,
    publicUrl: settings.COUNTERSIGN_PUBLIC_URL,
    keys: toKeys(settings),
    proofKeys: settings.COUNTERSIGN_PROOF_KEYS,
    proofAudiences: audiences.includes("*") ? "any" : audiences,
    allowedOrigins: settings.COUNTERSIGN_ALLOWED_ORIGINS ?? forAnyone,
    bounceAddress: settings.COUNTERSIGN_BOUNCE_ADDRESS,
    bounceWebhookSecret: settings.COUNTERSIGN_BOUNCE_WEBHOOK_SECRET,
    policy: toPolicy(settings),
    ...callers,
    trustLocalIssuer: mode === "dev" || callers.trustLocalIssuer,
    ...toDataConfig(settings),
    ...toListenerConfig(settings),
    ...toMailConfig(settings),
  };
}

function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value)) {
    for (const part of Object.values(value)) freeze(part);
    Object.freeze(value);
  }
  return value;
}
