import type { Language } from "../../texts/languages.ts";
import { mailTexts } from "../../texts/mail/index.ts";
import { layouts } from "./layouts.gen.ts";
import { parseTemplate, type Template } from "./template.ts";

/** What a mail is for. */
export type Purpose = keyof typeof layouts;

export const purposes = Object.keys(layouts) as Purpose[];

/** The words of a mail in one language, and how they are laid out. */
export interface Letter {
  readonly language: Language;
  /** By their keys. */
  readonly texts: Readonly<Record<string, Template>>;
  readonly html: Template;
  readonly text: Template;
}

/** Which letter a user of an organization gets. */
export type Letters = (purpose: Purpose, language: Language, orgId: string) => Letter;

const builtIn = new Map<string, Letter>();

/** The letter that is sent where there are no own templates. */
export function builtInLetter(purpose: Purpose, language: Language): Letter {
  const key = `${purpose}.${language}`;
  const letter = builtIn.get(key) ?? {
    language,
    texts: parseTexts(builtInTexts(purpose, language)),
    html: parseTemplate(layouts[purpose].html),
    text: parseTemplate(layouts[purpose].text),
  };
  builtIn.set(key, letter);
  return letter;
}

/** Its words by their keys. */
export function builtInTexts(purpose: Purpose, language: Language): Record<string, string> {
  const { code, ...texts } = mailTexts[language];
  return purpose === "notice" ? { ...texts.notice } : { ...code, ...texts[purpose] };
}

function parseTexts(texts: Record<string, string>): Record<string, Template> {
  return Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, parseTemplate(text)]));
}
