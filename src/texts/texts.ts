import type { Language } from "./languages.ts";
import { ar } from "./words/ar.ts";
import { bg } from "./words/bg.ts";
import { cs } from "./words/cs.ts";
import { de } from "./words/de.ts";
import { en, type Texts } from "./words/en.ts";
import { es } from "./words/es.ts";
import { fr } from "./words/fr.ts";
import { it } from "./words/it.ts";
import { ja } from "./words/ja.ts";
import { ko } from "./words/ko.ts";
import { nl } from "./words/nl.ts";
import { pl } from "./words/pl.ts";
import { pt } from "./words/pt.ts";
import { ru } from "./words/ru.ts";
import { sv } from "./words/sv.ts";
import { tr } from "./words/tr.ts";
import { uk } from "./words/uk.ts";
import { zh } from "./words/zh.ts";

/** Texts of mails and pages in all languages. */
export const texts: Readonly<Record<Language, Texts>> = {
  en,
  de,
  fr,
  it,
  es,
  pt,
  nl,
  pl,
  cs,
  sv,
  ru,
  uk,
  bg,
  tr,
  ja,
  zh,
  ko,
  ar,
};
