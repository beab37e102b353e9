import type { NoticeKind } from "../outbox/enqueue.ts";
import { subjectLengthMax } from "./code-mail.ts";
import { timeInWords } from "./in-words.ts";
import type { MailTemplate } from "./mail-templates.ts";
import { oneLine } from "./one-line.ts";
import { layOut, type RenderedMail, renderTexts } from "./render.ts";

export interface NoticeMail {
  readonly template: MailTemplate;
  readonly kind: NoticeKind;
  /** When it happened, in milliseconds since the epoch. */
  readonly time: number;
  /** The IP address of whoever asked for it, or null if it is not known. */
  readonly clientAddress: string | null;
  readonly serviceName: string;
}

/**
 * The mail that tells a verified address that another one of the account changes. It has no code and no link, and of what a
 * user has typed nothing, least of all the other address: its domain could say anything under our name.
 */
export function renderNoticeMail({
  template,
  kind,
  time,
  clientAddress,
  serviceName,
}: NoticeMail): RenderedMail {
  const data = {
    service: oneLine(serviceName),
    time: timeInWords(template.language, time),
    client: clientAddress ?? "",
  };
  const texts = renderTexts(template, data);
  const happened = texts[kind] ?? "";
  const happenedWhen = (clientAddress === null ? texts.when : texts.whenFrom) ?? "";
  return {
    ...layOut(template, { ...texts, ...data, happened, happenedWhen }),
    subject: oneLine(texts.subject ?? "", subjectLengthMax),
  };
}
