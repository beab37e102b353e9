import { durationInWords } from "./in-words.ts";
import type { MailTemplate } from "./mail-templates.ts";
import { oneLine } from "./one-line.ts";
import { layOut, type RenderedMail, renderTexts } from "./render.ts";

/** What the mail of a code is about. */
export interface CodeMail {
  readonly template: MailTemplate;
  readonly code: string;
  /** An absolute URL. */
  readonly link: string;
  /** How long the code is valid, in milliseconds. */
  readonly ttlMs: number;
  /** Who asks for the code. */
  readonly serviceName: string;
  /** By default it is not there: subjects end up in logs and on locked screens. */
  readonly codeInSubject?: boolean;
}

/**
 * Lays out the mail of a code. The code stands on a line of its own, and so does each link. The text ends with the code
 * bound to the host where it is to be typed, for programs that fill it in there alone
 * (https://wicg.github.io/sms-one-time-codes/).
 *
 * @param more further values of the layout.
 */
export function renderCodeMail(mail: CodeMail, more: Readonly<Record<string, string>> = {}): RenderedMail {
  const { template, code, link, codeInSubject = false } = mail;
  const service = oneLine(mail.serviceName);
  const duration = durationInWords(template.language, mail.ttlMs);
  const texts = renderTexts(template, { service, duration });
  const { text, ...rest } = layOut(template, { ...texts, ...more, service, duration, code, link });
  const subject = oneLine(texts.subject ?? "", subjectLengthMax);
  return {
    ...rest,
    subject: codeInSubject ? `${code} - ${subject}` : subject,
    text: `${text.trimEnd()}\n\n@${new URL(link).hostname} #${code}\n`,
  };
}

/** In characters: enough for every language with the longest name of a service. */
export const subjectLengthMax = 200;
