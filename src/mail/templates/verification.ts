import { type CodeMail, renderCodeMail } from "./code-mail.ts";
import { builtInLetter } from "./letters.ts";
import type { RenderedMail } from "./render.ts";

export type VerificationMail = Omit<CodeMail, "letter" | "serviceName"> &
  Partial<Pick<CodeMail, "letter" | "serviceName">>;

/**
 * The mail that proves that someone reads an address. Nothing that a user has typed appears: such text would go out under
 * our name to an address of their choice.
 */
export function renderVerificationMail({
  letter = builtInLetter("verification", "en"),
  serviceName = "Countersign",
  ...mail
}: VerificationMail): RenderedMail {
  return renderCodeMail({ ...mail, letter, serviceName });
}
