import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Page } from "playwright-core";
import { describe, expect, it, onTestFinished } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";
import { openPage } from "../support/chromium.ts";
import { type OpenApi, operationsOf } from "../support/openapi.ts";

interface Docs {
  readonly test: TestApp;
  readonly tab: Page;
  readonly document: OpenApi;
  /** The hosts that the page sent requests to. */
  readonly hosts: Set<string>;
  /** Warnings and errors of the console, and violations of the content security policy. */
  complaints(): Promise<string[]>;
}

interface DocsOptions {
  readonly environment?: Record<string, string>;
  /** Cuts the document down to the operations of one path: Swagger UI needs seconds for all of them. */
  readonly path?: string;
}

async function openDocs({ environment = {}, path }: DocsOptions = {}): Promise<Docs> {
  const test = await startTestApp({ environment });
  const document = (await (await fetch(`${test.origin}/openapi.json`)).json()) as OpenApi;
  const tab = await openPage();
  const hosts = new Set<string>();
  const lines: string[] = [];
  tab.on("request", (request) => hosts.add(new URL(request.url()).host));
  tab.on("console", (line) => {
    if (["error", "warning"].includes(line.type())) lines.push(line.text());
  });
  tab.on("pageerror", (error) => lines.push(String(error)));
  await tab.addInitScript(`
    globalThis.violations = [];
    addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective + " " + e.blockedURI));
  `);
  if (path !== undefined) {
    const json = { ...document, paths: { [path]: document.paths[path] } };
    await tab.route("**/openapi.json", (route) => route.fulfill({ json }));
  }
  await tab.goto(`${test.origin}/docs`);
  const complaints = async () => [...lines, ...((await tab.evaluate("violations")) as string[])];
  return { test, tab, document, hosts, complaints };
}

/** The part of the page that shows the operation. */
function blockOf({ tab }: Docs, id: string) {
  return tab.locator(`[id$="-${id}"].opblock`);
}

interface Block {
  readonly method: string;
  readonly path: string;
  readonly summary: string;
  readonly description: string;
  /** The text of each parameter by its name. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly bodies: number;
  readonly statuses: readonly string[];
  readonly curl: string;
}

/** The operations of the page, by the end of the element's id. Read at once: the page has 14,000 elements. */
const readBlocks = `(() => {
  const textOf = (element) => element?.textContent.trim();
  const all = (block, selector) => [...block.querySelectorAll(selector)];
  return Object.fromEntries(all(document, ".opblock").map((block) => [
    block.id.split("-").at(-1),
    {
      method: textOf(block.querySelector(".opblock-summary-method")),
      path: textOf(block.querySelector(".opblock-summary-path")).replaceAll("\u200b", ""),
      summary: textOf(block.querySelector(".opblock-summary-description")),
      description: textOf(block.querySelector(".opblock-description")),
      parameters: Object.fromEntries(
        all(block, "tr[data-param-name]").map((row) => [row.dataset.paramName, textOf(row)]),
      ),
      bodies: all(block, ".opblock-section-request-body").length,
      statuses: all(block, "tr.response > .response-col_status").map(textOf),
      curl: textOf(block.querySelector("pre.curl")),
    },
  ]));
})()`;

/** The text without the backticks that mark code: the page renders them. */
function withoutMarks(text = ""): string {
  return text.replaceAll("`", "");
}

// Swagger UI needs seconds to render all operations, and more on a busy machine.
describe("/docs in Chromium", { timeout: 120_000 }, () => {
  it("shows every operation with its description, parameters, body, replies and curl", async () => {
    const docs = await openDocs();
    const operations = operationsOf(docs.document);
    expect(operations.length).toBeGreaterThan(3);
    await docs.tab
      .locator(".opblock pre.curl")
      .nth(operations.length - 1)
      .waitFor();
    const blocks = (await docs.tab.evaluate(readBlocks)) as Record<string, Block>;
    for (const { path, method, operation } of operations) {
      const block = blocks[operation.operationId];
      expect(block, operation.operationId).toMatchObject({
        method,
        path,
        summary: operation.summary,
        bodies: operation.requestBody ? 1 : 0,
        statuses: Object.keys(operation.responses),
        curl: operation["x-codeSamples"][0]?.source,
      });
      expect(block?.description).toContain(withoutMarks(operation.description).slice(0, 20));
      for (const { name, description } of operation.parameters) {
        expect(block?.parameters[name]).toContain(withoutMarks(description));
      }
    }
    expect(await docs.complaints()).toEqual([]);
    expect([...docs.hosts]).toEqual([new URL(docs.test.origin).host]);
  });

  it("calls an operation with the token from the dialog", async () => {
    const docs = await openDocs({ path: "/v3alpha/users/{userId}" });
    const { tab, test } = docs;
    await (await test.admin()).createUser({
      userId: "demo-user",
      organization: { org: { case: "orgId", value: "demo" } },
    });
    await tab.locator("button.authorize").first().click();
    const dialog = tab.locator(".modal-ux");
    expect(await dialog.textContent()).toContain(`${test.origin}/oauth/v2/authorize`);
    await dialog.locator("input#auth-bearer-value").fill(await test.token("demo-user"));
    await dialog.locator(".auth-container", { hasText: "bearer" }).locator("button.authorize").click();
    await dialog.locator("button.close-modal").click();

    const block = blockOf(docs, "UserService_GetUserByID");
    await block.locator("button.try-out__btn").click();
    await block.locator("tr[data-param-name=userId] input").fill("demo-user");
    await block.locator("button.execute").click();
    const reply = block.locator(".live-responses-table");
    await reply.waitFor();
    expect(await reply.textContent()).toContain('"userId": "demo-user"');
    expect(await docs.complaints()).toEqual([]);
    expect([...docs.hosts]).toEqual([new URL(test.origin).host]);
  });

  it("gets a token from the authorization server, with PKCE", async () => {
    const asked: URLSearchParams[] = [];
    const server = createServer((request, response) => {
      const url = new URL(request.url ?? "", "http://server");
      if (url.pathname === "/authorize") {
        asked.push(url.searchParams);
        const back = new URL(url.searchParams.get("redirect_uri") ?? "");
        back.search = String(
          new URLSearchParams({ code: "c0de", state: url.searchParams.get("state") ?? "" }),
        );
        return response.writeHead(302, { location: back.href }).end();
      }
      let body = "";
      response.setHeader("access-control-allow-origin", "*");
      response.setHeader("access-control-allow-headers", "*");
      if (request.method === "OPTIONS") return response.end();
      request.on("data", (chunk) => {
        body += chunk;
      });
      request.on("end", () => {
        asked.push(new URLSearchParams(body));
        response.setHeader("content-type", "application/json");
        response.end(JSON.stringify({ access_token: "a.b.c", token_type: "Bearer" }));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

    const docs = await openDocs({
      environment: {
        COUNTERSIGN_OAUTH_AUTHORIZE_URL: `${issuer}/authorize`,
        COUNTERSIGN_OAUTH_TOKEN_URL: `${issuer}/token`,
      },
      path: "/v3alpha/users/{userId}",
    });
    await docs.tab.locator("button.authorize").first().click();
    const dialog = docs.tab.locator(".modal-ux .auth-container", { hasText: "authorizationCode" });
    await dialog.locator("input#client_id_authorizationCode").fill("reference");
    await dialog.locator("button.authorize").click();
    await dialog.locator("button", { hasText: "Logout" }).waitFor();
    const [authorize, token] = asked;
    expect(Object.fromEntries(authorize!)).toMatchObject({
      response_type: "code",
      client_id: "reference",
      redirect_uri: `${docs.test.origin}/docs/oauth2-redirect.html`,
      scope: "openid urn:zitadel:iam:org:project:id:zitadel:aud",
      code_challenge_method: "S256",
    });
    expect(Object.fromEntries(token!)).toMatchObject({ grant_type: "authorization_code", code: "c0de" });
    const challenge = createHash("sha256").update(token!.get("code_verifier")!).digest("base64url");
    expect(authorize!.get("code_challenge")).toBe(challenge);
    expect(await docs.complaints()).toEqual([]);
  });
});
