import type { Language } from "../../texts/languages.ts";
import { mailTexts } from "../../texts/mail/index.ts";
import { layouts } from "./layouts.gen.ts";
import { parseTemplate, type Template } from "./template.ts";

/** What a mail is for. */
export type Purpose = keyof typeof layouts;

export const purposes = Object.keys(layouts) as Purpose[];

/** The words of a mail in one language, and how they are laid out. */
export interface MailTemplate {
  readonly language: Language;
  /** By their keys. */
  readonly texts: Readonly<Record<string, Template>>;
  readonly html: Template;
  readonly text: Template;
}

/** Which template a user of an organization gets. */
export type MailTemplates = (purpose: Purpose, language: Language, orgId: string) => MailTemplate;

const builtIn = new Map<string, MailTemplate>();

/** The template that is sent where there are no own templates. */
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

/** Its words by their keys. */
export function builtInTexts(purpose: Purpose, language: Language): Record<string, string> {
  const { code, ...texts } = mailTexts[language];
  return purpose === "notice" ? { ...texts.notice } : { ...code, ...texts[purpose] };
}

function parseTexts(texts: Record<string, string>): Record<string, Template> {
  return Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, parseTemplate(text)]));
}
