import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { NodeHandler } from "../http/reply.ts";
import { serveContent } from "./content.ts";
import { readable } from "./pages.ts";

export interface DocsOptions {
  /** The path of the OpenAPI document. */
  readonly document: string;
  /** Where the page may send calls and ask for tokens, beside this service. */
  readonly connectTo: readonly string[];
  /** The OAuth scopes that are chosen to begin with. */
  readonly scopes: readonly string[];
}

/**
 * The API reference at `/docs`, by path: Swagger UI, all of it from here.
 *
 * @throws if the package swagger-ui-dist is not installed.
 */
export function createDocs({ document, connectTo, scopes }: DocsOptions): ReadonlyMap<string, NodeHandler> {
  const manifest = createRequire(import.meta.url).resolve("swagger-ui-dist/package.json");
  const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
  const base = `/docs/swagger-ui-${version}`;
  // What a version of the package holds never changes.
  const asset = (name: string, type: string) =>
    content(type, "public, max-age=31536000, immutable", () => readFile(join(dirname(manifest), name)));
  const own = (type: string, text: string, headers = {}) =>
    content(type, "no-cache", async () => Buffer.from(text), headers);

  const scripts = `default-src 'none'; script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
  const policy = `${scripts}; style-src 'self'; img-src 'self' data:; connect-src ${["'self'", ...connectTo].join(" ")}`;
  const html = (text: string, csp: string) =>
    own("text/html; charset=utf-8", text, {
      "content-security-policy": csp,
      "referrer-policy": "no-referrer",
    });
  const config = { document, scopes };
  return new Map([
    ["/docs", html(page(base, config), policy)],
    ["/docs/page.js", own("text/javascript; charset=utf-8", script)],
    ["/docs/page.css", own("text/css; charset=utf-8", style)],
    ["/docs/oauth2-redirect.html", html(redirectPage(base), scripts)],
    [`${base}/oauth2-redirect.js`, asset("oauth2-redirect.js", "text/javascript; charset=utf-8")],
    [`${base}/swagger-ui.css`, asset("swagger-ui.css", "text/css; charset=utf-8")],
    [`${base}/swagger-ui-bundle.js`, asset("swagger-ui-bundle.js", "text/javascript; charset=utf-8")],
  ]);
}

function content(
  type: string,
  cacheControl: string,
  read: () => Promise<Uint8Array>,
  headers: Readonly<Record<string, string>> = {},
): NodeHandler {
  return readable(
    serveContent({ read, headers: { ...headers, "content-type": type, "cache-control": cacheControl } }),
  );
}

function page(base: string, config: Pick<DocsOptions, "document" | "scopes">): string {
  const data = JSON.stringify(config).replaceAll("&", "&amp;").replaceAll('"', "&quot;");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API reference</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${base}/swagger-ui.css">
<link rel="stylesheet" href="/docs/page.css">
<script defer src="${base}/swagger-ui-bundle.js"></script>
<script defer src="/docs/page.js"></script>
</head>
<body><main id="reference" data-config="${data}"></main></body>
</html>
`;
}

/** Where the authorization server sends the browser back to (RFC 6749 §4.1.2). */
function redirectPage(base: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Signing in</title><script src="${base}/oauth2-redirect.js"></script></html>\n`;
}

/** Swagger UI shows curl only after a call was made. This shows that of the document before the responses. */
const script = `"use strict";
function showCurl() {
  return {
    wrapComponents: {
      responses: (Responses, { React, specSelectors }) => (props) => {
        const h = React.createElement;
        const samples = specSelectors.specJson().getIn(["paths", props.path, props.method, "x-codeSamples"]);
        const curl = samples && samples.find((sample) => sample.get("lang") === "curl");
        if (!curl) return h(Responses, props);
        return h(React.Fragment, null,
          h("div", { className: "opblock-section curl-sample" },
            h("div", { className: "opblock-section-header" }, h("h4", { className: "opblock-title" }, "curl")),
            h("pre", { className: "curl" }, curl.get("source"))),
          h(Responses, props));
      },
    },
  };
}
// Resolves the references of the document once: Swagger UI does it again for each operation it opens.
function resolveOnce() {
  const requestResolvedSubtree = (request) => () => request([]);
  return { statePlugins: { spec: { wrapActions: { requestResolvedSubtree } } } };
}
const element = document.getElementById("reference");
const config = JSON.parse(element.dataset.config);
const ui = SwaggerUIBundle({
  domNode: element,
  url: config.document,
  plugins: [showCurl, resolveOnce],
  docExpansion: "full",
  defaultModelsExpandDepth: 0,
  deepLinking: true,
  validatorUrl: null,
  oauth2RedirectUrl: location.origin + "/docs/oauth2-redirect.html",
  onComplete: () => ui.initOAuth({ scopes: config.scopes, usePkceWithAuthorizationCodeGrant: true }),
});
`;

const style = `
body { margin: 0; }
.swagger-ui .curl-sample pre.curl {
  margin: 0; padding: 1rem 1.25rem; overflow-x: auto; white-space: pre;
  color: #fff; background: #333; font: 600 .75rem/1.6 monospace;
}
`;
