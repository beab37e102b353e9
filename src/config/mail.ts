import * as v from "valibot";
import type { DkimSettings, OAuthSettings } from "../mail/mailer.ts";
import { type Sender, senderProblems } from "../mail/providers/senders.ts";
import { languages } from "../texts/languages.ts";
import { dkimDomain, dkimKey, dkimSelector, mailFrom, readSendersFile, tokenUrl } from "./senders-file.ts";
import { onOff, pem, text } from "./values.ts";

const senders = v.pipe(
  text,
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const { senders, problems } = readSendersFile(dataset.value);
    for (const message of problems) addIssue({ message });
    return problems.length > 0 ? NEVER : senders;
  }),
);

/** What mails are made of and how they leave. */
export const mailEntries = {
  COUNTERSIGN_SMTP_URL: v.optional(text),
  COUNTERSIGN_MAIL_FROM: v.optional(mailFrom),
  COUNTERSIGN_DEFAULT_LANGUAGE: v.optional(
    v.picklist(languages, `must be one of ${languages.join(", ")}`),
    "en",
  ),
  COUNTERSIGN_CODE_IN_SUBJECT: v.optional(onOff, "off"),
  COUNTERSIGN_TEMPLATES_DIR: v.optional(text),
  COUNTERSIGN_SMTP_OAUTH_TOKEN_URL: v.optional(tokenUrl),
  COUNTERSIGN_SMTP_OAUTH_CLIENT_ID: v.optional(text),
  COUNTERSIGN_SMTP_OAUTH_CLIENT_SECRET: v.optional(text),
  COUNTERSIGN_SMTP_OAUTH_REFRESH_TOKEN: v.optional(text),
  COUNTERSIGN_MAIL_WEBHOOK_SECRET: v.optional(text),
  COUNTERSIGN_DKIM_DOMAIN: v.optional(dkimDomain),
  COUNTERSIGN_DKIM_SELECTOR: v.optional(dkimSelector),
  COUNTERSIGN_DKIM_KEY: v.optional(v.pipe(pem, dkimKey)),
  COUNTERSIGN_SENDERS_FILE: v.optional(senders),
};

type MailSettings = v.InferOutput<v.ObjectSchema<typeof mailEntries, undefined>>;

/** Of the settings of a sender, those that tell what `senderProblems` found. */
const senderSettings = {
  from: "COUNTERSIGN_MAIL_FROM",
  smtpUrl: "COUNTERSIGN_SMTP_URL",
  dkim: "COUNTERSIGN_DKIM_DOMAIN",
  oauth: "COUNTERSIGN_SMTP_OAUTH_TOKEN_URL",
  webhookSecret: "COUNTERSIGN_MAIL_WEBHOOK_SECRET",
} as const;

/** What of the sender does not go together, or cannot be used. */
export function unusableSender(settings: Partial<MailSettings>): string[] {
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
function splitUp(settings: Partial<MailSettings>, names: readonly (keyof MailSettings)[]): string[] {
  const missing = names.filter((name) => settings[name] === undefined);
  if (missing.length === names.length) return [];
  return missing.map((name) => `${name} is missing: ${names.join(", ")} go together`);
}

function toOAuth(settings: Partial<MailSettings>): OAuthSettings | undefined {
  const [tokenUrl, clientId, clientSecret, refreshToken] = oauthNames.map((name) => settings[name]);
  if (!tokenUrl || !clientId || !clientSecret || !refreshToken) return undefined;
  return { tokenUrl, clientId, clientSecret, refreshToken };
}

function toDkim(settings: Partial<MailSettings>): DkimSettings | undefined {
  const [domain, selector, privateKey] = dkimNames.map((name) => settings[name]);
  return domain && selector && privateKey ? { domain, selector, privateKey } : undefined;
}

const developmentFrom = { name: "Countersign", address: "countersign@dev.example" };

export function toMailConfig(settings: Partial<MailSettings>) {
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

/** By which providers mails leave that no organization has its own for. Undefined: none is set. */
export function senderOf(
  config: Pick<
    ReturnType<typeof toMailConfig>,
    "smtpUrl" | "mailFrom" | "dkim" | "smtpOAuth" | "mailWebhookSecret"
  >,
): Sender | undefined {
  const { smtpUrl, mailFrom: from, dkim, smtpOAuth: oauth, mailWebhookSecret: webhookSecret } = config;
  return smtpUrl === undefined ? undefined : { smtpUrl, from, dkim, oauth, webhookSecret };
}
