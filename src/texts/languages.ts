import Negotiator from "negotiator";

/** Languages of mails and pages (BCP 47). */
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
 * Chooses the first available language of several preferences.
 *
 * @param preferences `Accept-Language` headers (RFC 9110 §12.5.4) or language tags, most important first.
 */
export function chooseLanguage(
  preferences: readonly (string | null | undefined)[],
  fallback: Language,
): Language {
  for (const preference of preferences) {
    const language = wishedIn(preference);
    if (language) return language;
  }
  return fallback;
}

/** Returns the value of HTML's `dir` attribute. */
export function directionOf(language: Language): "ltr" | "rtl" {
  return language === "ar" ? "rtl" : "ltr";
}

/** Returns the preferred available language of an `Accept-Language` header or a language tag. */
export function wishedIn(header: string | null | undefined): Language | undefined {
  if (!header) return undefined;
  // Ordered by quality. A tag with a region falls back to its language (RFC 4647 §3.4).
  const tags = new Negotiator({
    headers: { "accept-language": header.slice(0, headerLengthMax) },
  }).languages();
  return tags.map(languageOf).find((language) => language !== undefined);
}

function languageOf(tag: string): Language | undefined {
  const primary = tag.split("-", 1)[0]?.toLowerCase();
  return languages.find((language) => language === primary);
}

/** Longer than any browser's. */
const headerLengthMax = 500;
