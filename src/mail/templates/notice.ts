import type { NoticeKind } from "../outbox.ts";
import type { RenderedMail } from "./code-mail.ts";
import { escapeHtml } from "./html.ts";
import { oneLine } from "./one-line.ts";

export interface NoticeMail {
  readonly kind: NoticeKind;
  /** When it happened, in milliseconds since the epoch. */
  readonly time: number;
  /** The IP address of whoever asked for it, or null if it is not known. */
  readonly clientAddress: string | null;
  readonly serviceName: string;
}

const happenings: Readonly<Record<NoticeKind, string>> = {
  added: "An email address was added to your account",
  verified: "An email address of your account was verified and can be used for codes from now on",
  removed: "An email address was removed from your account",
};

/**
 * The mail that tells a verified address that another one of the account changes. It has no code and no link, and of what a
 * user has typed nothing, least of all the other address: its domain could say anything under our name.
 */
export function renderNoticeMail({ kind, time, clientAddress, serviceName }: NoticeMail): RenderedMail {
  const service = oneLine(serviceName);
  const happening = happenings[kind];
  const when = new Date(time).toISOString().replace("T", " ").replace(/\..*$/, " UTC");
  const where = clientAddress === null ? "" : `, from ${clientAddress}`;
  const advice =
    "Was that you? Then there is nothing to do. If not, tell the people who run the service at once.";
  const paragraphs = [`${happening} at ${service}.`, `This was on ${when}${where}.`, advice];
  return {
    subject: `The email addresses of your account at ${service} were changed`,
    text: `${paragraphs.join("\n\n")}\n`,
    html: `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Your account was changed</title>
<style>:root { color-scheme: light dark; }</style>
</head>
<body>
<div style="max-width: 480px; margin: 0 auto; padding: 24px 16px; font: 16px/1.5 sans-serif;">
${paragraphs.map((paragraph) => `<p style="margin: 0 0 16px;">${escapeHtml(paragraph)}</p>`).join("\n")}
</div>
</body>
</html>
`,
  };
}
