import { writeFileSync } from "node:fs";
import { type MailConfig, readMailConfig } from "../../config/config.ts";
import { ConfigError } from "../../config/config-error.ts";
import { senderOf } from "../../config/mail.ts";
import { systemClock } from "../../lib/clock.ts";
import { parseEmailAddress } from "../../lib/email-address.ts";
import type { SendResult } from "../../mail/mailer.ts";
import { makeMessageId } from "../../mail/outbox/enqueue.ts";
import { openSenders } from "../../mail/providers/senders.ts";
import { readCustomTemplates } from "../../mail/templates/custom-templates.ts";
import { builtInTemplate } from "../../mail/templates/mail-templates.ts";
import type { RenderedMail } from "../../mail/templates/render.ts";
import { renderSample, type Sample, samples } from "../../mail/templates/sample.ts";
import { type Language, languages } from "../../texts/languages.ts";
import { oneOf, required, UsageError } from "../arguments.ts";
import { defineCommand } from "../command.ts";
import { exitCodes } from "../exit-codes.ts";

const sampleOptions = {
  purpose: {
    type: "string",
    placeholder: "P",
    default: "verification",
    help: `Which mail: ${samples.join(", ")}`,
  },
  language: {
    type: "string",
    placeholder: "TAG",
    help: "Language, such as en, de or ja [default: that of COUNTERSIGN_DEFAULT_LANGUAGE]",
  },
  org: {
    type: "string",
    placeholder: "ORG",
    help: "Organization whose custom templates and sender are used",
  },
} as const;

export const mailPreview = defineCommand({
  name: "mail preview",
  usage: "",
  help: "Write a mail with sample data to an HTML file, and its text part to a file beside it.",
  options: {
    out: { type: "string", placeholder: "FILE", help: "File to write, such as mail.html [required]" },
    ...sampleOptions,
  },
  async run({ values }) {
    const sample = toSample(values);
    const out = required("--out", values.out);
    console.log(`wrote ${previewMail(readMailConfig(), sample, out).join(" and ")}`);
    return exitCodes.ok;
  },
});

export const mailTest = defineCommand({
  name: "mail test",
  usage: "",
  help: "Send a mail with sample data, and print the result.",
  options: {
    to: { type: "string", placeholder: "ADDRESS", help: "Address to send it to [required]" },
    ...sampleOptions,
  },
  async run({ values }) {
    const sample = toSample(values);
    const to = parseEmailAddress(values.to ?? "");
    if (!to.ok) throw new UsageError("--to must be the address that the mail is sent to");
    const result = await sendTestMail(readMailConfig(), sample, to.address.mailbox);
    if (result.kind !== "sent")
      throw new Error(`the mail provider did not accept the mail: ${result.reason}`);
    console.log("sent");
    return exitCodes.ok;
  },
});

/** Which mail to render. */
interface SampleChoice {
  readonly purpose: Sample;
  /** Undefined: the default language. */
  readonly language: Language | undefined;
  /** The organization whose custom templates are used. Empty: none. */
  readonly orgId: string;
}

function toSample(values: { purpose: string; language?: string; org?: string }): SampleChoice {
  const { purpose, language, org = "" } = values;
  return {
    purpose: oneOf("--purpose", purpose, samples),
    language: language === undefined ? undefined : oneOf("--language", language, languages),
    orgId: org,
  };
}

/** Writes the HTML part of a sample mail to `path` and the text part beside it. Returns both paths. */
function previewMail(config: MailConfig, sample: SampleChoice, path: string): [html: string, text: string] {
  const { html, text, subject } = render(config, sample);
  const textPath = `${path.replace(/\.html$/, "")}.txt`;
  writeFileSync(path, html);
  writeFileSync(textPath, `Subject: ${subject}\n\n${text}`);
  return [path, textPath];
}

/** Sends a sample mail through the sender of its organization, as all mails are. Its code is worth nothing. */
async function sendTestMail(config: MailConfig, sample: SampleChoice, to: string): Promise<SendResult> {
  const sender = senderOf(config);
  if (!sender) throw new ConfigError(["COUNTERSIGN_SMTP_URL is missing: the mail is sent through it"]);
  const log = { warn() {}, info() {} };
  await using mailer = await openSenders({
    clock: systemClock,
    log,
    defaultSender: sender,
    organizations: config.senders,
  });
  const messageId = makeMessageId(systemClock.now(), new URL(config.publicUrl).hostname);
  const mail = {
    ...render(config, sample),
    orgId: sample.orgId,
    to,
    messageId,
    date: new Date(systemClock.now()),
  };
  return await mailer.send(mail, new AbortController().signal);
}

function render(config: MailConfig, { purpose, language, orgId }: SampleChoice): RenderedMail {
  const { templatesDir, mailFrom, publicUrl, codeInSubject, defaultLanguage } = config;
  return renderSample(purpose, {
    templates: templatesDir === undefined ? builtInTemplate : readCustomTemplates(templatesDir),
    language: language ?? defaultLanguage,
    orgId,
    serviceName: mailFrom.name || new URL(publicUrl).hostname,
    publicUrl,
    codeInSubject,
  });
}
