import { describe, expect, it } from "vitest";
import { type Language, languages } from "../../src/texts/languages.ts";
import { texts } from "../../src/texts/texts.ts";

const kinds = ["mail", "pages"] as const;

/** Texts of a language by `group.key`. */
function flat(language: Language, kind: (typeof kinds)[number]): Record<string, string> {
  return Object.fromEntries(
    Object.entries(texts[language][kind]).flatMap(([group, entries]) =>
      Object.entries(entries as Record<string, string>).map(([key, text]) => [`${group}.${key}`, text]),
    ),
  );
}

const others = languages.filter((language) => language !== "en");
const variablesOf = (text: string) => (text.match(/\{+[^}]*\}+|%\w|\$\{/g) ?? []).sort();
const lettersOf = (text: string) => text.replace(/\{\{.*?\}\}/g, "").replace(/[^\p{L}\p{N}]/gu, "");

/** Script of each text of a language. */
const scripts: Partial<Record<Language, RegExp>> = {
  ru: /^\p{scx=Cyrillic}+$/u,
  uk: /^\p{scx=Cyrillic}+$/u,
  bg: /^\p{scx=Cyrillic}+$/u,
  ar: /^\p{scx=Arabic}+$/u,
  ja: /^[\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Han}\d]+$/u,
  zh: /^\p{scx=Han}+$/u,
  ko: /^\p{scx=Hangul}+$/u,
};

/** Letters of related languages, to find a text in the wrong one where the script is the same. */
const foreign: Partial<Record<Language, RegExp>> = {
  ru: /[іїєґ]/i,
  uk: /[ыэёъ]/i,
  bg: /[ыэёіїєґ]/i,
  zh: /[\p{Script=Hiragana}\p{Script=Katakana}]/u,
  cs: /[ąęłżźśćń]/i,
  pl: /[ěščřžů]/i,
};

/** Texts that are the same in two languages. */
const shared = new Set(["Continuar", "Вход"]);

describe.each(kinds.flatMap((kind) => others.map((language) => [kind, language] as const)))(
  "the %s texts in %s",
  (kind, language) => {
    const own = flat(language, kind);

    it("have the keys and variables of the English ones", () => {
      const english = flat("en", kind);
      expect(Object.keys(own)).toEqual(Object.keys(english));
      for (const [key, text] of Object.entries(own)) {
        expect(text.trim(), key).toBe(text);
        expect(text.length, key).toBeGreaterThan(1);
        expect(variablesOf(text), key).toEqual(variablesOf(english[key]!));
      }
    });

    it("are neither in English nor in another language", () => {
      for (const [key, text] of Object.entries(own)) {
        const letters = lettersOf(text);
        if (scripts[language]) expect(letters, key).toMatch(scripts[language]);
        if (foreign[language]) expect(letters, key).not.toMatch(foreign[language]);
        expect(text, key).not.toMatch(/\b(the|your|you|this|enter|address|sign in|button)\b/i);
        for (const other of languages) {
          if (other !== language && !shared.has(text))
            expect(flat(other, kind)[key], `${key} in ${other}`).not.toBe(text);
        }
      }
    });
  },
);

describe("a subject", () => {
  it.each(languages)("is short, and neither shouts nor asks: %s", (language) => {
    const { verification, login, notice } = texts[language].mail;
    for (const { subject } of [verification, login, notice]) {
      expect([...subject].length).toBeLessThanOrEqual(90);
      expect(subject).not.toMatch(/[!?¿¡！？]|\.$/);
      expect(subject).not.toMatch(/\p{Lu}{4}/u);
    }
  });
});

describe("a text of a page", () => {
  it.each(languages)("is one line, needs no escaping, and ends like the English one: %s", (language) => {
    const english = flat("en", "pages");
    for (const [key, text] of Object.entries(flat(language, "pages"))) {
      expect(text.trim(), key).toBe(text);
      expect(text.length, key).toBeGreaterThan(1);
      expect(text, key).not.toMatch(/[<>&"\n]/);
      const isSentence = (sentence: string) => /[.。:：]$/.test(sentence);
      expect(isSentence(text), key).toBe(isSentence(english[key]!));
    }
  });
});
