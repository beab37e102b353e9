import type { NoticeKind } from "../outbox/enqueue.ts";
import { subjectLengthMax } from "./code-mail.ts";
import { timeInWords } from "./in-words.ts";
import type { MailTemplate } from "./mail-templates.ts";
import { oneLine } from "./one-line.ts";
import { layOut, type RenderedMail, renderTexts } from "./render.ts";

export interface NoticeMail {
  readonly template: MailTemplate;
  readonly kind: NoticeKind;
  /** When the change happened, in milliseconds since the epoch. */
  readonly time: number;
  /** IP address that requested the change. Null if unknown. */
  readonly clientAddress: string | null;
  readonly serviceName: string;
}

/**
 * Renders the mail that notifies a verified address of a change to another address of the account. It has no code, no link
 * and no user input. In particular it doesn't name the other address, whose domain could carry any message in our name.
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
