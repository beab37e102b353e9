import { type RenderedMail, renderCodeMail } from "./code-mail.ts";
import { inWords } from "./in-words.ts";
import { oneLine } from "./one-line.ts";

export interface VerificationMail {
  readonly code: string;
  /** An absolute URL. */
  readonly link: string;
  /** How long the code is valid, in milliseconds. */
  readonly ttlMs: number;
  /** Who asks for the code. */
  readonly serviceName?: string;
}

/**
 * The mail that proves that someone reads an address. Nothing that a user has typed appears: such text would go out under
 * our name to an address of their choice.
 */
export function renderVerificationMail({
  code,
  link,
  ttlMs,
  serviceName = "Countersign",
}: VerificationMail): RenderedMail {
  const service = oneLine(serviceName);
  return renderCodeMail({
    subject: `Your code to verify this email address for ${service}`,
    title: "Verify your email address",
    intro: `To verify this email address for ${service}, enter this code:`,
    code,
    link,
    notes: [
      `The code can be used once, within ${inWords(ttlMs)} of your request.`,
      "You did not ask for it? Then you can ignore this email: without the code nothing is verified. Never give the code to anyone.",
    ],
  });
}
