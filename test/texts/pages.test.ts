import { describe, expect, it } from "vitest";
import { type Language, languages } from "../../src/texts/languages.ts";
import { pageTexts } from "../../src/texts/pages/index.ts";

/** `group.key` → text. */
function flat(language: Language): Record<string, string> {
  return Object.fromEntries(
    Object.entries(pageTexts[language]).flatMap(([group, texts]) =>
      Object.entries(texts).map(([key, text]) => [`${group}.${key}`, text]),
    ),
  );
}

const english = flat("en");
const others = languages.filter((language) => language !== "en");
const placeholdersOf = (text: string) => (text.match(/\{[^}]*\}|%\w|\$\{/g) ?? []).sort();

/** What every text of a language is written in, but for names that are the same everywhere. */
const scripts: Partial<Record<Language, RegExp>> = {
  ru: /^\p{scx=Cyrillic}+$/u,
  uk: /^\p{scx=Cyrillic}+$/u,
  bg: /^\p{scx=Cyrillic}+$/u,
  ar: /^\p{scx=Arabic}+$/u,
  ja: /^[\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Han}]+$/u,
  zh: /^\p{scx=Han}+$/u,
  ko: /^\p{scx=Hangul}+$/u,
};

/** Letters that only one of the neighbours has: a text in the wrong one of them would not be seen by its script. */
const foreign: Partial<Record<Language, RegExp>> = {
  ru: /[іїєґ]/i,
  uk: /[ыэёъ]/i,
  bg: /[ыэёіїєґ]/i,
  zh: /[\p{Script=Hiragana}\p{Script=Katakana}]/u,
  cs: /[ąęłżźśćń]/i,
  pl: /[ěščřžů]/i,
};

describe.each(others)("the pages in %s", (language) => {
  const texts = flat(language);

  it("say all that the English ones say, and leave the same places open", () => {
    expect(Object.keys(texts)).toEqual(Object.keys(english));
    for (const [key, text] of Object.entries(texts)) {
      expect(placeholdersOf(text), key).toEqual(placeholdersOf(english[key]!));
    }
  });

  it("say nothing in English, nor in another language", () => {
    for (const [key, text] of Object.entries(texts)) {
      const letters = text.replace(/[^\p{L}]/gu, "");
      if (scripts[language]) expect(letters, key).toMatch(scripts[language]);
      if (foreign[language]) expect(text, key).not.toMatch(foreign[language]);
      expect(text, key).not.toMatch(/\b(the|your|you|this|enter|address|sign in|button)\b/i);
      for (const other of languages) {
        if (other !== language) expect(flat(other)[key], `${key} in ${other}`).not.toBe(text);
      }
    }
  });
});

describe.each(languages)("each text in %s", (language) => {
  it("is one line, can stand in HTML as it is, and ends as the English one does", () => {
    for (const [key, text] of Object.entries(flat(language))) {
      expect(text.trim(), key).toBe(text);
      expect(text.length, key).toBeGreaterThan(1);
      expect(text, key).not.toMatch(/[<>&"\n]/);
      const isSentence = (sentence: string) => /[.。:：]$/.test(sentence);
      expect(isSentence(text), key).toBe(isSentence(english[key]!));
    }
  });
});
