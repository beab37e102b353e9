import type { Language } from "../../texts/languages.ts";

/** Whole minutes, rounded down so that the mail never promises too much; seconds below two minutes. */
export function durationInWords(language: Language, ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  const inMinutes = minutes >= 2 || seconds === 60;
  const unit = inMinutes ? "minute" : "second";
  return new Intl.NumberFormat(localeOf(language), { style: "unit", unit, unitDisplay: "long" }).format(
    inMinutes ? minutes : seconds,
  );
}

/** A day and its time in UTC. */
export function timeInWords(language: Language, time: number): string {
  return new Intl.DateTimeFormat(localeOf(language), {
    dateStyle: "long",
    timeStyle: "long",
    hourCycle: "h23",
    timeZone: "UTC",
  }).format(time);
}

/** With the digits of the code in every language. */
function localeOf(language: Language): string {
  return `${language}-u-nu-latn`;
}
