import { type CodeMail, renderCodeMail } from "./code-mail.ts";
import { builtInTemplate } from "./mail-templates.ts";
import type { RenderedMail } from "./render.ts";

export type VerificationMail = Omit<CodeMail, "template" | "serviceName"> &
  Partial<Pick<CodeMail, "template" | "serviceName">>;

/**
 * The mail that proves that someone reads an address. Nothing that a user has typed appears: such text would go out under
 * our name to an address of their choice.
 */
export function renderVerificationMail({
  template = builtInTemplate("verification", "en"),
  serviceName = "Countersign",
  ...mail
}: VerificationMail): RenderedMail {
  return renderCodeMail({ ...mail, template, serviceName });
}
