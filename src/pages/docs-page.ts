import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { serveContent } from "./content.ts";
import type { Page } from "./pages.ts";

export interface DocsOptions {
  /** The path of the OpenAPI document. */
  readonly document: string;
  /** Origins besides this one that the page may send requests to: calls, and the token endpoint. */
  readonly connectTo: readonly string[];
  /** The OAuth scopes that are preselected. */
  readonly scopes: readonly string[];
}

/**
 * The API reference at `/docs`: Swagger UI and what it loads, all served from here.
 *
 * @throws if the package swagger-ui-dist is not installed.
 */
export function docsPages({ document, connectTo, scopes }: DocsOptions): Page[] {
  const manifest = createRequire(import.meta.url).resolve("swagger-ui-dist/package.json");
  const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
  const base = `/docs/swagger-ui-${version}`;
  const asset = (name: string, type: string): Page => ({
    path: `${base}/${name}`,
    handler: serveContent({
      read: () => readFile(join(dirname(manifest), name)),
      // The path names the version, whose files never change.
      headers: { "content-type": type, "cache-control": "public, max-age=31536000, immutable" },
    }),
  });
  const text = (path: string, type: string, body: string, headers = {}): Page => ({
    path,
    handler: serveContent({
      read: async () => Buffer.from(body),
      headers: { ...headers, "content-type": type, "cache-control": "no-cache" },
    }),
  });
  const html = (path: string, body: string, csp: string) =>
    text(path, "text/html; charset=utf-8", body, {
      "content-security-policy": csp,
      "referrer-policy": "no-referrer",
    });

  const redirectPolicy = `default-src 'none'; script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
  const policy = `${redirectPolicy}; style-src 'self'; img-src 'self' data:; connect-src ${["'self'", ...connectTo].join(" ")}`;
  return [
    html("/docs", page(base, { document, scopes }), policy),
    text("/docs/page.js", "text/javascript; charset=utf-8", script),
    text("/docs/page.css", "text/css; charset=utf-8", style),
    html("/docs/oauth2-redirect.html", redirectPage(base), redirectPolicy),
    asset("oauth2-redirect.js", "text/javascript; charset=utf-8"),
    asset("swagger-ui.css", "text/css; charset=utf-8"),
    asset("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
  ];
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

/** The redirection endpoint of the authorization code flow (RFC 6749 §3.1.2). */
function redirectPage(base: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Signing in</title><script src="${base}/oauth2-redirect.js"></script></html>\n`;
}

const script = `"use strict";
// Shows the document's curl sample above the responses: Swagger UI shows one only after a call.
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
