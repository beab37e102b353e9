import { writeFileSync } from "node:fs";
import type { MailConfig } from "../../config/config.ts";
import { ConfigError } from "../../config/config-error.ts";
import { senderOf } from "../../config/mail.ts";
import { systemClock } from "../../lib/clock.ts";
import { makeMessageId } from "../../mail/outbox/claim.ts";
import { openSenders } from "../../mail/providers/senders.ts";
import type { SendResult } from "../../mail/smtp/smtp-mailer.ts";
import { builtInLetter } from "../../mail/templates/letters.ts";
import { readLetters } from "../../mail/templates/own-templates.ts";
import type { RenderedMail } from "../../mail/templates/render.ts";
import { renderSample, type Sample } from "../../mail/templates/sample.ts";
import type { Language } from "../../texts/languages.ts";

/** Which mail to show. */
export interface Shown {
  readonly purpose: Sample;
  /** Undefined: the default. */
  readonly language: Language | undefined;
  /** Whose own templates count. */
  readonly orgId: string;
}

/** Writes both parts of a mail with sample data: `path`, and the text beside it. Returns the two names. */
export function previewMail(config: MailConfig, shown: Shown, path: string): [html: string, text: string] {
  const { html, text, subject } = renderShown(config, shown);
  const textPath = `${path.replace(/\.html$/, "")}.txt`;
  writeFileSync(path, html);
  writeFileSync(textPath, `Subject: ${subject}\n\n${text}`);
  return [path, textPath];
}

/** Sends a mail with sample data, whose code opens nothing, the way that all mails go. */
export async function sendTestMail(config: MailConfig, shown: Shown, to: string): Promise<SendResult> {
  const sender = senderOf(config);
  if (!sender) throw new ConfigError(["COUNTERSIGN_SMTP_URL is missing: the mail leaves through it"]);
  const log = { warn() {}, info() {} };
  await using mailer = await openSenders({
    clock: systemClock,
    log,
    usual: sender,
    organizations: config.senders,
  });
  const messageId = makeMessageId(systemClock.now(), new URL(config.publicUrl).hostname);
  const mail = {
    ...renderShown(config, shown),
    orgId: shown.orgId,
    to,
    messageId,
    date: new Date(systemClock.now()),
  };
  return await mailer.send(mail, new AbortController().signal);
}

function renderShown(config: MailConfig, { purpose, language, orgId }: Shown): RenderedMail {
  const { templatesDir, mailFrom, publicUrl, codeInSubject, defaultLanguage } = config;
  return renderSample(purpose, {
    letters: templatesDir === undefined ? builtInLetter : readLetters(templatesDir),
    language: language ?? defaultLanguage,
    orgId,
    serviceName: mailFrom.name || new URL(publicUrl).hostname,
    publicUrl,
    codeInSubject,
  });
}
