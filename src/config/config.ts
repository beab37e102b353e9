import type { KeyObject } from "node:crypto";
import type { logLevels } from "../lib/log.ts";
import type { DkimSettings, MailAddress, OAuthSettings } from "../mail/mailer.ts";
import type { OrganizationSender } from "../mail/providers/senders.ts";
import type { CodeKey } from "../otp/codes/keys.ts";
import type { Policy } from "../otp/policy.ts";
import type { Language } from "../texts/languages.ts";
import { type ConfiguredIssuer, callerSettings, toCallerConfig } from "./callers.ts";
import { dataSettings, toDataConfig } from "./data.ts";
import { keySettings } from "./keys.ts";
import { limitSettings, toPolicy, unsafePolicy } from "./limits.ts";
import { listenerSettings, toListenerConfig, unusableTls } from "./listener.ts";
import { mailSettings, toMailConfig, unusableSender } from "./mail.ts";
import { type Environment, type Mode, readSettings } from "./read-settings.ts";
import type { Values } from "./setting.ts";
import { allSettings } from "./settings.ts";

/** The configuration of a server: read once, checked, frozen. */
export interface Config {
  readonly mode: Mode;
  readonly listen: { readonly host: string; readonly port: number };
  /** An origin, without a slash at the end. Undefined under `dev` if none is set: the address it listens on. */
  readonly publicUrl: string | undefined;
  readonly dataDir: string;
  readonly databaseUrl: string;
  /** The first derives codes, all verify them. Undefined under `dev` if none are set: one is generated in `dataDir`. */
  readonly keys: readonly [CodeKey, ...CodeKey[]] | undefined;
  /** The first signs proofs, all are published. Undefined under `dev` if none are set: one is generated in `dataDir`. */
  readonly proofKeys: readonly [KeyObject, ...KeyObject[]] | undefined;
  readonly proofAudiences: "any" | readonly string[];
  readonly issuers: readonly ConfiguredIssuer[];
  /** Whether tokens of `countersign token` are accepted. */
  readonly trustLocalIssuer: boolean;
  readonly audience: string;
  readonly rolesClaim: string;
  /** Undefined under `dev` if none is set: mails go to the development mailbox. */
  readonly smtpUrl: string | undefined;
  readonly mailFrom: MailAddress;
  /** Used in mails and pages when none of the requested languages is available. */
  readonly defaultLanguage: Language;
  /** Whether the subject of a mail contains its code. */
  readonly codeInSubject: boolean;
  /** Folder of custom mail templates. */
  readonly templatesDir: string | undefined;
  /** Base of the return path of each mail. Undefined: mails bounce to their sender. */
  readonly bounceAddress: string | undefined;
  /** Undefined: there is no webhook for bounces. */
  readonly bounceWebhookSecret: Uint8Array | undefined;
  readonly dkim: DkimSettings | undefined;
  /** For SMTP servers whose URL has `?auth=xoauth2`. */
  readonly smtpOAuth: OAuthSettings | undefined;
  readonly mailWebhookSecret: string | undefined;
  /** Senders of organizations, by the id of the organization. */
  readonly senders: Readonly<Record<string, OrganizationSender>>;
  /** Hosts that end users may name in a link. Undefined: the host of the public URL. */
  readonly linkHosts: readonly string[] | undefined;
  readonly allowedOrigins: readonly string[];
  /** Where the API reference gets tokens: URLs, or paths at the first issuer (at this service if there is none). */
  readonly oauth: {
    readonly authorizeUrl: string;
    readonly tokenUrl: string;
    readonly scopes: readonly string[];
  };
  /** Whether gRPC server reflection is available. */
  readonly reflection: boolean;
  /** Whether /metrics is available. */
  readonly metrics: boolean;
  /** Addresses and networks whose X-Forwarded-For is trusted. */
  readonly trustedProxies: readonly string[];
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  readonly logLevel: (typeof logLevels)[number];
  readonly policy: Policy;
}

/**
 * Reads all settings, for `dev` or `serve`.
 *
 * @throws ConfigError
 */
export function readConfig(mode: Mode, environment: Environment = process.env): Config {
  const crossChecks = [unusableTls, unusableSender, unsafePolicy];
  return freeze(toConfig(mode, readSettings(allSettings, environment, { mode, crossChecks })));
}

/**
 * Reads where the data is and which audience tokens have, for the commands that need no keys.
 *
 * @throws ConfigError
 */
export function readDataConfig(environment: Environment = process.env) {
  const { COUNTERSIGN_AUDIENCE } = callerSettings;
  const values = readSettings({ ...dataSettings, COUNTERSIGN_AUDIENCE }, environment);
  return freeze({ ...toDataConfig(values), audience: values.COUNTERSIGN_AUDIENCE });
}

/**
 * Reads where the data of a server is, its keys and its limits: for the commands that work on this data. `keys` is undefined
 * if none are set.
 *
 * @throws ConfigError
 */
export function readOperatorConfig(environment: Environment = process.env) {
  const { COUNTERSIGN_KEYS } = keySettings;
  const values = readSettings({ ...dataSettings, COUNTERSIGN_KEYS, ...limitSettings }, environment);
  return freeze({ ...toDataConfig(values), keys: values.COUNTERSIGN_KEYS, policy: toPolicy(values) });
}

/**
 * Reads the limits, and accepts unsafe ones: `countersign doctor` explains why they are unsafe.
 *
 * @throws ConfigError if one of them is invalid.
 */
export function readPolicy(environment: Environment = process.env): Policy {
  return toPolicy(readSettings(limitSettings, environment));
}

export type MailConfig = ReturnType<typeof readMailConfig>;

/**
 * Reads what mails look like and how they are sent, for `countersign mail`.
 *
 * @throws ConfigError
 */
export function readMailConfig(environment: Environment = process.env) {
  const { COUNTERSIGN_PUBLIC_URL } = listenerSettings;
  const crossChecks = [unusableSender];
  const values = readSettings({ COUNTERSIGN_PUBLIC_URL, ...mailSettings }, environment, { crossChecks });
  // The links of a sample mail lead nowhere.
  const publicUrl = values.COUNTERSIGN_PUBLIC_URL ?? "https://otp.example.com";
  return freeze({ ...toMailConfig(values), publicUrl });
}

function toConfig(mode: Mode, values: Values<typeof allSettings>): Config {
  const callers = toCallerConfig(values);
  return {
    mode,
    ...toListenerConfig(values),
    ...toDataConfig(values),
    keys: values.COUNTERSIGN_KEYS,
    proofKeys: values.COUNTERSIGN_PROOF_KEYS,
    proofAudiences: values.COUNTERSIGN_PROOF_AUDIENCES,
    ...callers,
    // `dev` prints a token of its own.
    trustLocalIssuer: mode === "dev" || callers.trustLocalIssuer,
    ...toMailConfig(values),
    bounceAddress: values.COUNTERSIGN_BOUNCE_ADDRESS,
    bounceWebhookSecret: values.COUNTERSIGN_BOUNCE_WEBHOOK_SECRET,
    policy: toPolicy(values),
  };
}

function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value)) {
    for (const part of Object.values(value)) freeze(part);
    Object.freeze(value);
  }
  return value;
}
