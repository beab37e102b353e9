import { createHash } from "node:crypto";
import { type NodeHandler, type NodeRequest, type Reply, reply } from "./reply.ts";
import { style } from "./verify-page.ts";

export interface NotMePageOptions {
  /** Says that the login of a mail was somebody else, by the handle in its link. Whether there is one is nobody's business. */
  readonly report: (handle: string, from: Sender) => Promise<void>;
  readonly onError: (error: unknown) => void;
}

export interface Sender {
  readonly peer: string | undefined;
  /** All lines of `X-Forwarded-For`. */
  readonly forwardedFor: string | null;
}

/**
 * Where the link "this wasn't me" of a mail leads. To look at it changes nothing, so that a mail scanner that follows links
 * burns no login: the button does. Both answers are the same for everybody, whatever the link says.
 */
export function createNotMePage({ report, onError }: NotMePageOptions): NodeHandler {
  return (request, response) => {
    switch (request.method) {
      case "GET":
      case "HEAD":
        return reply(request, response, question);
      case "POST":
        report(handleOf(request), senderOf(request)).then(
          () => reply(request, response, thanks),
          (error: unknown) => {
            onError(error);
            reply(request, response, failure);
          },
        );
        return;
      default:
        reply(request, response, notAllowed);
    }
  };
}

function handleOf({ url = "" }: NodeRequest): string {
  return new URLSearchParams(url.split("?", 2)[1]).get("challenge") ?? "";
}

function senderOf({ socket, headers }: NodeRequest): Sender {
  const forwarded = headers["x-forwarded-for"];
  const lines = Array.isArray(forwarded) ? forwarded.join(",") : forwarded;
  return { peer: socket.remoteAddress, forwardedFor: lines ?? null };
}

const styleHash = createHash("sha256").update(style).digest("base64");

const headers = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": `default-src 'none'; style-src 'sha256-${styleHash}'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'`,
  "cache-control": "no-store",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

// The form goes back to where it came from, with the handle in the address: the page itself is the same for everybody.
const question = page(
  200,
  "Was this not you?",
  `<p>An email asked you for a code to sign in. If you did not try to sign in, somebody else did.</p>
<p>With this button the code stops working, if it still does, and it is noted that it was not you.</p>
<form method="post"><button type="submit">This was not me</button></form>
<p class="note">It was you? Then there is nothing to do here: close this page.</p>`,
);

const thanks = page(
  200,
  "Thank you",
  `<p>If the code still worked, it does not work any more.</p>
<p class="note">Did you give the code to anyone? Then tell the people who run the application at once.</p>`,
);

const failure = page(
  503,
  "Please try again",
  `<p>That could not be noted just now. Go back, and press the button once more.</p>`,
);

const notAllowed: Reply = { ...question, status: 405, headers: { ...headers, allow: "GET, HEAD, POST" } };

function page(status: number, title: string, content: string): Reply {
  const body = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title}</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>${title}</h1>
${content}
</main>
</body>
</html>
`;
  return { status, headers, body };
}
