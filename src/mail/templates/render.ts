import { directionOf, type Language } from "../../texts/languages.ts";
import { escapeHtml } from "./html.ts";
import type { MailTemplate } from "./mail-templates.ts";

export interface RenderedMail {
  readonly language: Language;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

type Values = Readonly<Record<string, string>>;

/** Renders the texts of a template, as plain text. */
export function renderTexts({ texts }: MailTemplate, data: Values): Record<string, string> {
  return Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, text.render(data)]));
}

/** Renders both parts of a template with the same values. */
export function layOut(
  { language, html, text }: MailTemplate,
  values: Values,
): Omit<RenderedMail, "subject"> {
  const dir = directionOf(language);
  const page = { lang: language, dir, start: dir === "rtl" ? "right" : "left" };
  return { language, text: text.render(values), html: html.render({ ...values, ...page }, escapeHtml) };
}
