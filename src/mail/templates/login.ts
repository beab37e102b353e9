import { type CodeMail, renderCodeMail } from "./code-mail.ts";
import type { RenderedMail } from "./render.ts";

export interface LoginMail extends CodeMail {
  /** Absolute URL, without the code, where the recipient can report that someone else is signing in. */
  readonly reportLink: string;
}

/** Renders the mail of a login challenge. Contains no user input, and not who is signing in or where. */
export function renderLoginMail({ reportLink, ...mail }: LoginMail): RenderedMail {
  return renderCodeMail(mail, { reportLink });
}
