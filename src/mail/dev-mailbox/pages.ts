import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { escapeHtml } from "../templates/html.ts";
import type { CaughtMail, DevMailbox } from "./dev-mailbox.ts";

type NodeRequest = IncomingMessage | Http2ServerRequest;
type NodeResponse = ServerResponse | Http2ServerResponse;
type NodeHandler = (request: NodeRequest, response: NodeResponse) => void;

/** Creates the pages of a mailbox, by path: HTML to read the mails, and JSON for tests. Both accept `?to=` with an address. */
export function devMailboxPages(mailbox: Pick<DevMailbox, "messages">): ReadonlyMap<string, NodeHandler> {
  const show = (type: string, render: (mails: CaughtMail[]) => string): NodeHandler => {
    return (request, response) => {
      // Setting a header throws if the client has reset the HTTP/2 stream.
      if ("stream" in response && response.stream.destroyed) return;
      if (request.method !== "GET" && request.method !== "HEAD") {
        response.setHeader("allow", "GET, HEAD");
        return answer(request, response, 405, "text/plain; charset=utf-8", "use GET\n");
      }
      answer(request, response, 200, type, render(mailbox.messages(wantedAddress(request))));
    };
  };
  return new Map([
    ["/dev/mailbox", show("text/html; charset=utf-8", renderPage)],
    ["/dev/mailbox/messages", show("application/json", renderJson)],
  ]);
}

function wantedAddress(request: NodeRequest): string | undefined {
  const query = request.url?.split("?", 2)[1] ?? "";
  return new URLSearchParams(query).get("to") ?? undefined;
}

function renderJson(mails: CaughtMail[]): string {
  return JSON.stringify(mails.map(({ receivedTime, ...mail }) => ({ ...mail, received_time: receivedTime })));
}

// A frame with `srcdoc` inherits the policy of the page, so inline styles must be allowed for the mails. Scripts, images and
// fonts are blocked, so that reading a mail sends no requests.
const policy =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

function answer(
  request: NodeRequest,
  response: NodeResponse,
  status: number,
  type: string,
  body: string,
): void {
  response.statusCode = status;
  response.setHeader("content-type", type);
  response.setHeader("content-length", Buffer.byteLength(body));
  response.setHeader("cache-control", "no-store");
  response.setHeader("content-security-policy", policy);
  response.setHeader("cross-origin-resource-policy", "same-origin");
  response.setHeader("referrer-policy", "no-referrer");
  response.setHeader("x-content-type-options", "nosniff");
  if (request.method === "HEAD") response.end();
  else response.end(body);
}

const style = `
:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 16px; max-width: 720px; font: 16px/1.5 sans-serif; }
h1 { font-size: 22px; }
h2 { font-size: 18px; margin: 0; overflow-wrap: anywhere; }
article { margin: 24px 0; padding-top: 16px; border-top: 1px solid #8888; }
p { margin: 4px 0; overflow-wrap: anywhere; }
pre { padding: 12px; background: #8882; white-space: pre-wrap; overflow-wrap: anywhere; }
iframe { width: 100%; height: 420px; border: 1px solid #8888; background: #fff; }
`;

function renderPage(mails: CaughtMail[]): string {
  const count = mails.length === 1 ? "1 mail" : `${mails.length} mails`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Development mailbox</title>
<style>${style}</style>
</head>
<body>
<h1>Development mailbox</h1>
<p>${count}, newest first. Nothing leaves this machine. Reload the page to see new mails.</p>
${mails.map(renderMail).join("")}</body>
</html>
`;
}

function renderMail(mail: CaughtMail): string {
  const frame = `<iframe sandbox title="The HTML part" srcdoc="${escapeHtml(mail.html)}"></iframe>\n`;
  return `<article>
<h2>${escapeHtml(mail.subject)}</h2>
<p><time>${escapeHtml(mail.receivedTime)}</time></p>
<p>To: ${escapeHtml(mail.to)}</p>
<p>From: ${escapeHtml(mail.from)}</p>
<pre>${escapeHtml(mail.text)}</pre>
${mail.html === "" ? "" : frame}</article>
`;
}
