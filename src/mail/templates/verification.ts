import { escapeHtml } from "./html.ts";
import { oneLine } from "./one-line.ts";

export interface VerificationMail {
  readonly code: string;
  /** An absolute URL. */
  readonly link: string;
  /** How long the code is valid, in milliseconds. */
  readonly ttlMs: number;
  /** Who asks for the code. */
  readonly serviceName?: string;
}

export interface RenderedMail {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

/**
 * The mail that proves that someone reads an address.
 *
 * The code is not in the subject, which ends up in logs and on locked screens. It stands on a line of its own, and so does
 * the link. Nothing that a user has typed appears: such text would go out under our name to an address of their choice.
 */
export function renderVerificationMail({
  code,
  link,
  ttlMs,
  serviceName = "Countersign",
}: VerificationMail): RenderedMail {
  const service = oneLine(serviceName);
  const lifetime = inWords(ttlMs);
  return {
    subject: `Your code to verify this email address for ${service}`,
    text: `To verify this email address for ${service}, enter this code:

${code}

Or continue here:

${link}

The code can be used once, within ${lifetime} of your request.

You did not ask for it? Then you can ignore this email: without the code nothing is verified.
Never give the code to anyone.
`,
    html: renderHtml({ service, code, link, lifetime }),
  };
}

/** Whole minutes, rounded down so that the mail never promises too much; seconds below two minutes. */
function inWords(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  if (minutes >= 2 || seconds === 60) return minutes === 1 ? "1 minute" : `${minutes} minutes`;
  return seconds === 1 ? "1 second" : `${seconds} seconds`;
}

interface Parts {
  service: string;
  code: string;
  link: string;
  lifetime: string;
}

// Styles are inline because many mail programs drop everything else. What they leave of the <style> is for dark mode.
function renderHtml(parts: Parts): string {
  const service = escapeHtml(parts.service);
  const code = escapeHtml(parts.code);
  const link = escapeHtml(parts.link);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Verify your email address</title>
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
<p style="margin: 0 0 16px;">To verify this email address for ${service}, enter this code:</p>
<p class="code" style="margin: 0 0 16px; padding: 16px 8px; border-radius: 8px; background: #eef1f4; color: #1c2430; font: bold 28px/1.2 monospace; letter-spacing: 2px; text-align: center; user-select: all; -webkit-user-select: all;">${code}</p>
<p style="margin: 0 0 24px;"><a href="${link}" style="display: inline-block; padding: 12px 20px; border-radius: 8px; background: #1f5fd0; color: #ffffff; text-decoration: none;">Continue</a></p>
<p class="note" style="margin: 0 0 8px; color: #566070; font-size: 14px;">The code can be used once, within ${parts.lifetime} of your request.</p>
<p class="note" style="margin: 0; color: #566070; font-size: 14px;">You did not ask for it? Then you can ignore this email: without the code nothing is verified. Never give the code to anyone.</p>
</div>
</body>
</html>
`;
}
