import { createHash } from "node:crypto";
import type { Reply } from "../http/reply.ts";
import { directionOf, type Language } from "../texts/languages.ts";
import { texts } from "../texts/texts.ts";
import type { Texts } from "../texts/words/en.ts";

export interface PageSettings {
  readonly serviceName: string;
  readonly language: Language;
}

export interface VerifyForm {
  /** A hidden field of the form. Only letters, digits and `.-_~`: it is not escaped. */
  readonly handle: string;
  /** Fills the field. Not escaped. */
  readonly code: string | undefined;
  /** Whether codes are digits only: shows the number pad. */
  readonly isNumeric: boolean;
  /** Whether the form is shown again after a failed attempt. */
  readonly hasFailed: boolean;
}

/** The form that verifies the address of a mail. */
export function verifyFormPage(settings: PageSettings, form: VerifyForm): Reply {
  const { verify: t } = texts[settings.language].pages;
  const failure = form.hasFailed ? `<p class="failed" role="alert">${t.failed}</p>` : `<p>${t.intro}</p>`;
  const keyboard = form.isNumeric ? `inputmode="numeric"` : `inputmode="text" autocapitalize="characters"`;
  const content = `${failure}
<form method="post" action="/verify">
<input type="hidden" name="h" value="${form.handle}">
<label for="code">${t.label}</label>
<input class="code" id="code" name="code" value="${form.code ?? ""}" dir="ltr" required maxlength="40" autocomplete="one-time-code" ${keyboard} spellcheck="false">
<button type="submit">${t.button}</button>
</form>
<p class="note">${t.empty}</p>
<p>${t.ignore}</p>`;
  return page(settings, { status: form.hasFailed ? 400 : 200, title: t.title, content });
}

/**
 * Shows the code of a login, to be entered where the login was started. Nothing on this page completes the login: an attacker
 * may have started it, hoping that the reader presses a button.
 */
export function loginCodePage(
  settings: PageSettings,
  { handle, code }: Pick<VerifyForm, "handle" | "code">,
): Reply {
  const { login: t } = texts[settings.language].pages;
  const content = `<p>${t.intro}</p>
<p class="code" dir="ltr" data-gone="${t.gone}">${code ?? ""}</p>
<p>${t.warning}</p>
<form class="note" method="post" action="/verify">
<input type="hidden" name="h" value="${handle}">
<p>${t.question}</p>
<button class="plain" type="submit">${t.button}</button>
</form>`;
  return page(settings, { status: 200, title: t.title, content });
}

/** What the last page says. */
export type Ending = Extract<keyof Texts["pages"], "verified" | "reported">;

export function endPage(settings: PageSettings, ending: Ending): Reply {
  const { [ending]: t } = texts[settings.language].pages;
  const warning = "warning" in t ? `\n<p class="note">${t.warning}</p>` : "";
  return page(settings, { status: 200, title: t.title, content: `<p>${t.text}</p>${warning}` });
}

/** The page for failures of the service itself: try again later. */
export function retryPage(settings: PageSettings): Reply {
  const { retry: t } = texts[settings.language].pages;
  return page(settings, { status: 503, title: t.title, content: `<p>${t.text}</p>` });
}

const style = `
:root { color-scheme: light dark; }
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 10vh 1.25rem 3rem; max-width: 34rem;
  font: 1.0625rem/1.6 system-ui, sans-serif; overflow-wrap: anywhere;
  color: #1c2430; background: #fbfbfa;
}
h1 { margin: 0 0 1rem; font-size: 1.6rem; line-height: 1.25; text-wrap: balance; }
p { margin: 0 0 1rem; }
label { display: block; font-weight: 600; }
.service { color: #566070; font-weight: 600; }
.code {
  display: block; width: 100%; min-height: 3.75rem; margin: .25rem 0 1rem; padding: .75rem .5rem;
  border: 1px solid #7b8694; border-radius: .5rem; color: #1c2430; background: #fff;
  font: 700 1.6rem/1.2 ui-monospace, monospace; letter-spacing: .1em; text-align: center;
  user-select: all; -webkit-user-select: all;
}
.code:empty::before { content: attr(data-gone); font: 400 1.0625rem/1.6 system-ui, sans-serif; letter-spacing: 0; }
button {
  width: 100%; padding: .75rem 1rem; border: 1px solid #1f5fd0; border-radius: .5rem;
  font: inherit; font-weight: 600; color: #fff; background: #1f5fd0; cursor: pointer;
}
button.plain { color: #1c2430; background: transparent; border-color: #7b8694; }
:focus-visible { outline: 3px solid #7aa7f7; outline-offset: 2px; }
.note { margin-top: 2rem; padding-top: 1rem; border-top: 1px solid #d9dcdf; }
.failed { padding: .75rem 1rem; border-radius: .5rem; color: #7a1616; background: #fde8e8; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e8eb; background: #14181d; }
  .service { color: #a3adb9; }
  .code { color: #fff; background: #232a32; }
  button { color: #fff; background: #2f6bd8; border-color: #2f6bd8; }
  button.plain { color: #e6e8eb; }
  .note { border-color: #333b45; }
  .failed { color: #ffd9d9; background: #4a1d1d; }
}
`;

const styleHash = createHash("sha256").update(style).digest("base64");

/** Sent with every reply: no scripts, no external resources, no caching, no framing, no referrer. */
export const pageHeaders = {
  "content-security-policy": `default-src 'none'; style-src 'sha256-${styleHash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`,
  "cache-control": "no-store",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
  vary: "Accept-Language",
};

interface HtmlPage {
  readonly status: number;
  readonly title: string;
  /** HTML. */
  readonly content: string;
}

function page({ serviceName, language }: PageSettings, { status, title, content }: HtmlPage): Reply {
  const body = `<!doctype html>
<html lang="${language}" dir="${directionOf(language)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="format-detection" content="telephone=no">
<title>${title}</title>
<style>${style}</style>
</head>
<body>
<main>
<p class="service"><bdi>${escaped(serviceName)}</bdi></p>
<h1>${title}</h1>
${content}
</main>
</body>
</html>
`;
  const headers = {
    ...pageHeaders,
    "content-type": "text/html; charset=utf-8",
    "content-language": language,
  };
  return { status, headers, body };
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
