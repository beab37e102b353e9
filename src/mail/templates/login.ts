import { type CodeMail, renderCodeMail } from "./code-mail.ts";
import type { RenderedMail } from "./render.ts";

export interface LoginMail extends CodeMail {
  /** Where the reader can say that it was somebody else: an absolute URL, without the code. */
  readonly reportLink: string;
}

/** The mail of a login challenge. Nothing that a user has typed appears in it, nor who wants to sign in where. */
export function renderLoginMail({ reportLink, ...mail }: LoginMail): RenderedMail {
  return renderCodeMail(mail, { reportLink });
}
