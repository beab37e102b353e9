import { type CodeMail, renderCodeMail } from "./code-mail.ts";
import { builtInTemplate } from "./mail-templates.ts";
import type { RenderedMail } from "./render.ts";

export type VerificationMail = Omit<CodeMail, "template" | "serviceName"> &
  Partial<Pick<CodeMail, "template" | "serviceName">>;

/**
 * Renders the mail that verifies an address. Contains no user input, because users could send it to any address in our name.
 */
export function renderVerificationMail({
  template = builtInTemplate("verification", "en"),
  serviceName = "Countersign",
  ...mail
}: VerificationMail): RenderedMail {
  return renderCodeMail({ ...mail, template, serviceName });
}
