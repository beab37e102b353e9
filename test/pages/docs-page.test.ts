import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Page } from "playwright-core";
import { describe, expect, it, onTestFinished } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";
import { startChromium } from "../support/chromium.ts";
import { type OpenApi, operationsOf } from "../support/openapi.ts";

interface Docs {
  readonly test: TestApp;
  readonly tab: Page;
  readonly document: OpenApi;
  /** The hosts that the page asked for anything. */
  readonly hosts: Set<string>;
  /** What the console and the content security policy had to say. */
  complaints(): Promise<string[]>;
}

async function openDocs(environment: Record<string, string> = {}): Promise<Docs> {
  const test = await startTestApp({ environment });
  const tab = await (await startChromium()).newPage();
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
  await tab.goto(`${test.origin}/docs`);
  const document = (await (await fetch(`${test.origin}/openapi.json`)).json()) as OpenApi;
  const complaints = async () => [...lines, ...((await tab.evaluate("violations")) as string[])];
  return { test, tab, document, hosts, complaints };
}

/** The part of the page that shows the operation. */
function blockOf({ tab }: Docs, id: string) {
  return tab.locator(`[id$="-${id}"].opblock`);
}

/** A text as the page shows it: without the marks of code. */
function shown(text = ""): string {
  return text.replaceAll("`", "");
}

// Swagger UI takes its time to show every operation opened: seconds, and more where the machine is shared.
describe("/docs in Chromium", { timeout: 120_000 }, () => {
  it("shows every operation with its description, parameters, body, replies and curl, and asks nobody else", async () => {
    const docs = await openDocs();
    const operations = operationsOf(docs.document);
    expect(operations.length).toBeGreaterThan(3);
    for (const { path, method, operation } of operations) {
      const block = blockOf(docs, operation.operationId);
      await block.locator("pre.curl").waitFor();
      const textOf = async (selector: string) =>
        (await block.locator(selector).first().textContent())?.trim();
      expect(await textOf(".opblock-summary-method")).toBe(method);
      expect((await textOf(".opblock-summary-path"))?.replaceAll("\u200b", "")).toBe(path);
      expect(await textOf(".opblock-summary-description")).toBe(operation.summary);
      expect(await textOf(".opblock-description")).toContain(shown(operation.description).slice(0, 20));
      for (const { name, description } of operation.parameters) {
        expect(await textOf(`tr[data-param-name="${name}"]`)).toContain(shown(description));
      }
      const bodies = await block.locator(".opblock-section-request-body").count();
      expect(bodies).toBe(operation.requestBody ? 1 : 0);
      const statuses = await block.locator("tr.response > .response-col_status").allTextContents();
      expect(statuses).toEqual(Object.keys(operation.responses));
      expect(await textOf("pre.curl")).toBe(operation["x-codeSamples"][0]?.source);
    }
    expect(await docs.complaints()).toEqual([]);
    expect([...docs.hosts]).toEqual([new URL(docs.test.origin).host]);
  });

  it("calls an operation with the token that was typed in", async () => {
    const docs = await openDocs();
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
      COUNTERSIGN_OAUTH_AUTHORIZE_URL: `${issuer}/authorize`,
      COUNTERSIGN_OAUTH_TOKEN_URL: `${issuer}/token`,
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
