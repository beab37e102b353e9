import { escapeHtml } from "./html.ts";

export interface RenderedMail {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

/** What the mail of a code says. */
export interface CodeMail {
  readonly subject: string;
  /** Of the HTML page. */
  readonly title: string;
  /** A sentence that ends before the code. */
  readonly intro: string;
  readonly code: string;
  /** An absolute URL. */
  readonly link: string;
  /** Paragraphs in small print. */
  readonly notes: readonly string[];
  readonly report?: Report;
}

/** Where its reader can say that somebody else asked for the code. */
export interface Report {
  readonly question: string;
  readonly label: string;
  /** An absolute URL. */
  readonly link: string;
}

/**
 * Lays out the mail of a code. The code is not in the subject, which ends up in logs and on locked screens. It stands on a
 * line of its own, and so does each link.
 */
export function renderCodeMail(mail: CodeMail): RenderedMail {
  return { subject: mail.subject, text: renderText(mail), html: renderHtml(mail) };
}

function renderText({ intro, code, link, notes, report }: CodeMail): string {
  const reporting = report ? [`${report.question} ${report.label}:`, report.link] : [];
  const paragraphs = [intro, code, "Or continue here:", link, ...notes, ...reporting];
  return `${paragraphs.join("\n\n")}\n`;
}

// Styles are inline because many mail programs drop everything else. What they leave of the <style> is for dark mode.
function renderHtml({ title, intro, code, link, notes, report }: CodeMail): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<style>
:root { color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  .page { background: #14181d !important; color: #e6e8eb !important; }
  .code { background: #232a32 !important; color: #ffffff !important; }
  .note { color: #a3adb9 !important; }
}
</style>
</head>
<body class="page" style="margin: 0; padding: 0; background: #ffffff; color: #1c2430;">
<div style="max-width: 480px; margin: 0 auto; padding: 24px 16px; font: 16px/1.5 sans-serif;">
<p style="margin: 0 0 16px;">${escapeHtml(intro)}</p>
<p class="code" style="margin: 0 0 16px; padding: 16px 8px; border-radius: 8px; background: #eef1f4; color: #1c2430; font: bold 28px/1.2 monospace; letter-spacing: 2px; text-align: center; user-select: all; -webkit-user-select: all;">${escapeHtml(code)}</p>
<p style="margin: 0 0 24px;"><a href="${escapeHtml(link)}" style="display: inline-block; padding: 12px 20px; border-radius: 8px; background: #1f5fd0; color: #ffffff; text-decoration: none;">Continue</a></p>
${renderNotes(notes, report)}
</div>
</body>
</html>
`;
}

function renderNotes(notes: readonly string[], report: Report | undefined): string {
  const paragraphs = notes.map(escapeHtml);
  if (report) {
    const link = `<a href="${escapeHtml(report.link)}" style="color: inherit;">${escapeHtml(report.label)}</a>`;
    paragraphs.push(`${escapeHtml(report.question)} ${link}.`);
  }
  return paragraphs
    .map((text) => `<p class="note" style="margin: 0 0 8px; color: #566070; font-size: 14px;">${text}</p>`)
    .join("\n");
}
