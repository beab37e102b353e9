import * as v from "valibot";
import type { DkimSettings, OAuthSettings } from "../mail/mailer.ts";
import { type Sender, senderProblems } from "../mail/providers/senders.ts";
import { languages } from "../texts/languages.ts";
import { dkimDomain, dkimKey, dkimSelector, mailFrom, tokenUrl } from "./sender-values.ts";
import { readSendersFile } from "./senders-file.ts";
import { type Given, incomplete, type Settings, type Values } from "./setting.ts";
import { isDistinct, onOff, pem, text } from "./values.ts";

const providers = v.pipe(
  text,
  v.check((value) => isDistinct(value.split(/[\s,]+/).filter(Boolean)), "must not name a provider twice"),
);

const senders = v.pipe(
  text,
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const { senders, problems } = readSendersFile(dataset.value);
    for (const message of problems) addIssue({ message });
    return problems.length > 0 ? NEVER : senders;
  }),
);

export const mailSettings = {
  COUNTERSIGN_SMTP_URL: {
    check: providers,
    unset: "mails go to the development mailbox",
    isNeeded: true,
    isSecret: true,
    help:
      "Mail providers, comma separated, tried in order: `smtp://user:password@host:port`, `smtps://…`, " +
      "`smtp://user@host?auth=xoauth2`, `ses://REGION` or `webhook+https://HOST/PATH`",
  },
  COUNTERSIGN_MAIL_FROM: {
    check: mailFrom,
    devDefault: "Countersign <countersign@dev.example>",
    isNeeded: true,
    help: "Sender of mails: `Name <address>`, or an address. The name is also the name of the service in mails",
  },
  COUNTERSIGN_DEFAULT_LANGUAGE: {
    check: v.picklist(languages, `must be one of ${languages.join(", ")}`),
    default: "en",
    help: "Language of mails and pages where none of the requested languages is available, such as `en`, `de` or `ja`",
  },
  COUNTERSIGN_CODE_IN_SUBJECT: {
    check: onOff,
    default: "off",
    help: "`on` or `off`: whether the subject of a mail contains its code",
  },
  COUNTERSIGN_TEMPLATES_DIR: {
    check: text,
    unset: "the built-in templates",
    help: "Folder of custom texts and layouts of mails (see docs/mail.md)",
  },
  COUNTERSIGN_SMTP_OAUTH_TOKEN_URL: {
    check: tokenUrl,
    unset: "no OAuth 2.0",
    help: "Token endpoint for SMTP servers with `?auth=xoauth2`. The next three settings go with it",
  },
  COUNTERSIGN_SMTP_OAUTH_CLIENT_ID: {
    check: text,
    help: "OAuth 2.0 client id",
  },
  COUNTERSIGN_SMTP_OAUTH_CLIENT_SECRET: {
    check: text,
    isSecret: true,
    help: "OAuth 2.0 client secret",
  },
  COUNTERSIGN_SMTP_OAUTH_REFRESH_TOKEN: {
    check: text,
    isSecret: true,
    help: "OAuth 2.0 refresh token, which access tokens are requested with",
  },
  COUNTERSIGN_MAIL_WEBHOOK_SECRET: {
    check: text,
    isSecret: true,
    help: "Secret to sign requests to `webhook+https://` providers with: `whsec_BASE64`, several during a rotation",
  },
  COUNTERSIGN_DKIM_DOMAIN: {
    check: dkimDomain,
    unset: "mails are not signed",
    help: "Domain to sign mails for with DKIM: the domain of the sender or a parent of it. The next two settings go with it",
  },
  COUNTERSIGN_DKIM_SELECTOR: {
    check: dkimSelector,
    help: "DKIM selector: the public key is published at `SELECTOR._domainkey.DOMAIN`",
  },
  COUNTERSIGN_DKIM_KEY: {
    check: v.pipe(pem, dkimKey),
    isSecret: true,
    help: "DKIM key: a private RSA key of at least 2048 bits, as PEM text or the path of a PEM file",
  },
  COUNTERSIGN_SENDERS_FILE: {
    check: senders,
    unset: "one sender for all",
    help: 'JSON file with the senders of organizations: `{"ORG_ID": {"from": …, "smtpUrl": …}}`',
  },
} satisfies Settings;

type MailValues = Values<typeof mailSettings>;

/** The setting of each part of a sender, to name in a problem. */
const senderSettings = {
  from: "COUNTERSIGN_MAIL_FROM",
  smtpUrl: "COUNTERSIGN_SMTP_URL",
  dkim: "COUNTERSIGN_DKIM_DOMAIN",
  oauth: "COUNTERSIGN_SMTP_OAUTH_TOKEN_URL",
  webhookSecret: "COUNTERSIGN_MAIL_WEBHOOK_SECRET",
} as const;

const oauthNames = [
  "COUNTERSIGN_SMTP_OAUTH_TOKEN_URL",
  "COUNTERSIGN_SMTP_OAUTH_CLIENT_ID",
  "COUNTERSIGN_SMTP_OAUTH_CLIENT_SECRET",
  "COUNTERSIGN_SMTP_OAUTH_REFRESH_TOKEN",
] as const;

const dkimNames = ["COUNTERSIGN_DKIM_DOMAIN", "COUNTERSIGN_DKIM_SELECTOR", "COUNTERSIGN_DKIM_KEY"] as const;

/** Reports what of the default sender is incomplete, contradictory or unusable. */
export function unusableSender({ valid, isSet }: Given<typeof mailSettings>): string[] {
  const problems = [...incomplete(oauthNames, isSet), ...incomplete(dkimNames, isSet)];
  const { COUNTERSIGN_SMTP_URL: smtpUrl, COUNTERSIGN_MAIL_WEBHOOK_SECRET: webhookSecret } = valid;
  if (smtpUrl === undefined) return problems;
  // DKIM is compared with the sender that was chosen, not with the default of development.
  const from = isSet("COUNTERSIGN_MAIL_FROM") ? valid.COUNTERSIGN_MAIL_FROM : undefined;
  const found = senderProblems({
    smtpUrl,
    from: from ?? { name: "", address: "" },
    dkim: from && toDkim(valid),
    oauth: toOAuth(valid),
    webhookSecret,
  });
  // Incomplete or invalid OAuth settings are reported as such.
  const others = found.filter(({ setting }) => setting !== "oauth" || !oauthNames.some(isSet));
  return [...problems, ...others.map(({ setting, problem }) => `${senderSettings[setting]} ${problem}`)];
}

function toOAuth(values: Partial<MailValues>): OAuthSettings | undefined {
  const [tokenUrl, clientId, clientSecret, refreshToken] = oauthNames.map((name) => values[name]);
  if (!tokenUrl || !clientId || !clientSecret || !refreshToken) return undefined;
  return { tokenUrl, clientId, clientSecret, refreshToken };
}

function toDkim(values: Partial<MailValues>): DkimSettings | undefined {
  const [domain, selector, privateKey] = dkimNames.map((name) => values[name]);
  return domain && selector && privateKey ? { domain, selector, privateKey } : undefined;
}

export function toMailConfig(values: MailValues) {
  return {
    smtpUrl: values.COUNTERSIGN_SMTP_URL,
    mailFrom: values.COUNTERSIGN_MAIL_FROM,
    dkim: toDkim(values),
    smtpOAuth: toOAuth(values),
    mailWebhookSecret: values.COUNTERSIGN_MAIL_WEBHOOK_SECRET,
    senders: values.COUNTERSIGN_SENDERS_FILE ?? {},
    defaultLanguage: values.COUNTERSIGN_DEFAULT_LANGUAGE,
    codeInSubject: values.COUNTERSIGN_CODE_IN_SUBJECT,
    templatesDir: values.COUNTERSIGN_TEMPLATES_DIR,
  };
}

type SenderConfig = Pick<
  ReturnType<typeof toMailConfig>,
  "smtpUrl" | "mailFrom" | "dkim" | "smtpOAuth" | "mailWebhookSecret"
>;

/** The default sender. Undefined if no provider is set. */
export function senderOf(config: SenderConfig): Sender | undefined {
  const { smtpUrl, mailFrom: from, dkim, smtpOAuth: oauth, mailWebhookSecret: webhookSecret } = config;
  return smtpUrl === undefined ? undefined : { smtpUrl, from, dkim, oauth, webhookSecret };
}
