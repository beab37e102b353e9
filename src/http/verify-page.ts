import { createHash } from "node:crypto";
import type { Reply } from "./reply.ts";

/** How the plain pages look. */
export const style = `
:root { color-scheme: light dark; }
body {
  margin: 0 auto; padding: 12vh 1.25rem 3rem; max-width: 34rem;
  font: 1.0625rem/1.6 system-ui, sans-serif; overflow-wrap: break-word;
  color: #1c2430; background: #fbfbfa;
}
h1 { margin: 0 0 1rem; font-size: 1.6rem; line-height: 1.25; text-wrap: balance; }
p { margin: 0 0 1rem; }
.note { margin-top: 2rem; padding-top: 1rem; border-top: 1px solid #d9dcdf; color: #566070; font-size: .9375rem; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e8eb; background: #14181d; }
  .note { border-color: #333b45; color: #a3adb9; }
}
`;

const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Enter your code</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>Enter the code where you were asked for it</h1>
<p>The email that brought you here holds a code. Go back to the application that asked for it, and type or paste the
code there.</p>
<p>There is nothing to fill in on this page.</p>
<p class="note">You did not ask for a code? Then you can ignore the email. Do not give the code to anyone.</p>
</main>
</body>
</html>
`;

const styleHash = createHash("sha256").update(style).digest("base64");

/**
 * Where the link of a mail leads unless the application has a page of its own.
 *
 * It is the same for everybody, whatever the link says: it verifies nothing, so that a mail scanner that follows links
 * uses up no code, and the address of the page goes to nobody (no-referrer).
 */
export const verifyPage: Reply = {
  status: 200,
  headers: {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": `default-src 'none'; style-src 'sha256-${styleHash}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'`,
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
  },
  body: html,
};
