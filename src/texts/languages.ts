import Negotiator from "negotiator";

/** The languages that mails and pages speak (BCP 47), the one that everything falls back to first. */
export const languages = [
  "en",
  "de",
  "fr",
  "it",
  "es",
  "pt",
  "nl",
  "pl",
  "cs",
  "sv",
  "ru",
  "uk",
  "bg",
  "tr",
  "ja",
  "zh",
  "ko",
  "ar",
] as const;

export type Language = (typeof languages)[number];

/**
 * The language in which to speak to someone: the first of `wishes` that names one there is.
 *
 * @param wishes each an `Accept-Language` header (RFC 9110 §12.5.4) or one language tag. The most important comes first.
 */
export function chooseLanguage(wishes: readonly (string | null | undefined)[], fallback: Language): Language {
  for (const wish of wishes) {
    const wished = wishedIn(wish);
    if (wished) return wished;
  }
  return fallback;
}

/** As the attribute `dir` of HTML has it. */
export function directionOf(language: Language): "ltr" | "rtl" {
  return language === "ar" ? "rtl" : "ltr";
}

/** The first language that there is of an `Accept-Language` header or a language tag. */
export function wishedIn(header: string | null | undefined): Language | undefined {
  if (!header) return undefined;
  // In the order of their quality. A tag of a region is also a wish for its language (RFC 4647 §3.4).
  const tags = new Negotiator({
    headers: { "accept-language": header.slice(0, headerLengthMax) },
  }).languages();
  return tags.map(languageOf).find((language) => language !== undefined);
}

function languageOf(tag: string): Language | undefined {
  const primary = tag.split("-", 1)[0]?.toLowerCase();
  return languages.find((language) => language === primary);
}

/** More than any browser sends. */
const headerLengthMax = 500;
