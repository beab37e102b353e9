import type { Language } from "../../texts/languages.ts";
import { texts } from "../../texts/texts.ts";
import { layouts } from "./layouts.gen.ts";
import { parseTemplate, type Template } from "./template.ts";

/** Kind of a mail. Each has its own layout and texts. */
export type Purpose = keyof typeof layouts;

export const purposes = Object.keys(layouts) as Purpose[];

/** Texts and layouts of a mail in one language. */
export interface MailTemplate {
  readonly language: Language;
  /** By key. */
  readonly texts: Readonly<Record<string, Template>>;
  readonly html: Template;
  readonly text: Template;
}

/** Finds the template for users of an organization. */
export type MailTemplates = (purpose: Purpose, language: Language, orgId: string) => MailTemplate;

const builtIn = new Map<string, MailTemplate>();

/** Returns the template that is used without custom templates. */
export function builtInTemplate(purpose: Purpose, language: Language): MailTemplate {
  const key = `${purpose}.${language}`;
  const template = builtIn.get(key) ?? {
    language,
    texts: parseTexts(builtInTexts(purpose, language)),
    html: parseTemplate(layouts[purpose].html),
    text: parseTemplate(layouts[purpose].text),
  };
  builtIn.set(key, template);
  return template;
}

/** Returns the texts of the built-in template, by key. */
export function builtInTexts(purpose: Purpose, language: Language): Record<string, string> {
  const { code, ...mails } = texts[language].mail;
  return purpose === "notice" ? { ...mails.notice } : { ...code, ...mails[purpose] };
}

function parseTexts(texts: Record<string, string>): Record<string, Template> {
  return Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, parseTemplate(text)]));
}
