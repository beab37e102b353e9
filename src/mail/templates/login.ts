import { type RenderedMail, renderCodeMail } from "./code-mail.ts";
import { inWords } from "./in-words.ts";
import { oneLine } from "./one-line.ts";

export interface LoginMail {
  readonly code: string;
  /** An absolute URL. */
  readonly link: string;
  /** Where the reader can say that it was somebody else: an absolute URL, without the code. */
  readonly reportLink: string;
  /** How long the code is valid, in milliseconds. */
  readonly ttlMs: number;
  /** Who asks for the code. */
  readonly serviceName: string;
}

/** The mail of a login challenge. Nothing that a user has typed appears in it, nor who wants to sign in where. */
export function renderLoginMail({ code, link, reportLink, ttlMs, serviceName }: LoginMail): RenderedMail {
  const service = oneLine(serviceName);
  return renderCodeMail({
    subject: `Your code to sign in to ${service}`,
    title: "Sign in",
    intro: `To sign in to ${service}, enter this code:`,
    code,
    link,
    notes: [
      `The code can be used once, within ${inWords(ttlMs)} of your request.`,
      "Never give the code to anyone, whoever asks for it.",
    ],
    report: { question: "You did not try to sign in?", label: "Say that this was not you", link: reportLink },
  });
}
