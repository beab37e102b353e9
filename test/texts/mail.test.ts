import { describe, expect, it } from "vitest";
import { type Language, languages } from "../../src/texts/languages.ts";
import { mailTexts } from "../../src/texts/mail/index.ts";

/** `group.key` → text. */
function flat(language: Language): Record<string, string> {
  return Object.fromEntries(
    Object.entries(mailTexts[language]).flatMap(([group, texts]) =>
      Object.entries(texts as Record<string, string>).map(([key, text]) => [`${group}.${key}`, text]),
    ),
  );
}

const variablesOf = (text: string) => (text.match(/\{\{.*?\}\}/g) ?? []).sort();
const withoutVariables = (text: string) => text.replace(/\{\{.*?\}\}/g, "");

const english = flat("en");
const others = languages.filter((language) => language !== "en");

/** What every text of a language is written in. */
const scripts: Partial<Record<Language, RegExp>> = {
  ru: /^\p{scx=Cyrillic}+$/u,
  uk: /^\p{scx=Cyrillic}+$/u,
  bg: /^\p{scx=Cyrillic}+$/u,
  ar: /^\p{scx=Arabic}+$/u,
  ja: /^[\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Han}\d]+$/u,
  zh: /^\p{scx=Han}+$/u,
  ko: /^\p{scx=Hangul}+$/u,
};

/** Letters that only one of the neighbours has: a text in the wrong one of them would not be seen by its script. */
const foreign: Partial<Record<Language, RegExp>> = {
  ru: /[іїєґ]/i,
  uk: /[ыэёъ]/i,
  bg: /[ыэёіїєґ]/i,
  zh: /[\p{Script=Hiragana}\p{Script=Katakana}]/u,
  cs: /[ąęłżźśćńĄĘŁŻŹŚĆŃ]/,
  pl: /[ěščřžůĚŠČŘŽŮ]/,
};

describe.each(others)("the mails in %s", (language) => {
  const texts = flat(language);

  it("say all that the English ones say, with the same variables", () => {
    expect(Object.keys(texts)).toEqual(Object.keys(english));
    for (const [key, text] of Object.entries(texts)) {
      expect(text.trim(), key).toBe(text);
      expect(text.length, key).toBeGreaterThan(1);
      expect(variablesOf(text), key).toEqual(variablesOf(english[key]!));
    }
  });

  it("say nothing in English, nor in another language", () => {
    for (const [key, text] of Object.entries(texts)) {
      const words = withoutVariables(text).replace(/[^\p{L}\p{N}]/gu, "");
      if (scripts[language]) expect(words, key).toMatch(scripts[language]);
      if (foreign[language]) expect(words, key).not.toMatch(foreign[language]);
      for (const other of languages) {
        if (other !== language && !shared.has(text))
          expect(flat(other)[key], `${key} in ${other}`).not.toBe(text);
      }
      expect(text, key).not.toMatch(/\b(the|your|you|this|enter|address|sign in)\b/i);
    }
  });
});

/** What two languages do say in the same words. */
const shared = new Set(["Continuar", "Вход"]);

describe("a subject", () => {
  it.each(languages)("in %s is short, and neither shouts nor asks", (language) => {
    const { verification, login, notice } = mailTexts[language];
    for (const { subject } of [verification, login, notice]) {
      expect([...subject].length).toBeLessThanOrEqual(90);
      expect(subject).not.toMatch(/[!?¿¡！？]|\.$/);
      expect(subject).not.toMatch(/\p{Lu}{4}/u);
    }
  });
});
