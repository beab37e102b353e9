import type { Language } from "../../texts/languages.ts";

/** Formats a duration in whole minutes, rounded down, or in seconds below two minutes. */
export function durationInWords(language: Language, ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  const inMinutes = minutes >= 2 || seconds === 60;
  const unit = inMinutes ? "minute" : "second";
  return numbersIn(`${localeOf(language)} ${unit}`).format(inMinutes ? minutes : seconds);
}

/** Formats a date with its time in UTC. */
export function timeInWords(language: Language, time: number): string {
  return timesIn(localeOf(language)).format(time);
}

// Creating a formatter costs more than the rest of a mail.
const numbersIn = cached((name) => {
  const [locale, unit] = name.split(" ");
  return new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "long" });
});

const timesIn = cached(
  (locale) =>
    new Intl.DateTimeFormat(locale, {
      dateStyle: "long",
      timeStyle: "long",
      hourCycle: "h23",
      timeZone: "UTC",
    }),
);

/** Caches results without a bound, so only for a few names. */
function cached<T>(make: (name: string) => T): (name: string) => T {
  const known = new Map<string, T>();
  return (name) => {
    const made = known.get(name) ?? make(name);
    known.set(name, made);
    return made;
  };
}

/** Uses the same digits as the code in every language. */
function localeOf(language: Language): string {
  return `${language}-u-nu-latn`;
}
