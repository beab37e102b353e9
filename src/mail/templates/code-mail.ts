import { durationInWords } from "./in-words.ts";
import type { MailTemplate } from "./mail-templates.ts";
import { oneLine } from "./one-line.ts";
import { layOut, type RenderedMail, renderTexts } from "./render.ts";

/** Content of a mail with a code. */
export interface CodeMail {
  readonly template: MailTemplate;
  readonly code: string;
  /** An absolute URL. */
  readonly link: string;
  /** Lifetime of the code, in milliseconds. */
  readonly ttlMs: number;
  /** Name of the service that the code is for. */
  readonly serviceName: string;
  /** Default false: subjects show up in logs and on locked screens. */
  readonly codeInSubject?: boolean;
}

/**
 * Renders a mail with a code. In the text part, the code and each link have their own line. The last line binds the code to
 * the host of the link, so that autofill offers it only there (https://wicg.github.io/sms-one-time-codes/).
 *
 * @param more additional variables for the layout.
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

/** In characters. Enough for every language with the longest service name. */
export const subjectLengthMax = 200;
