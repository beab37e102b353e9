import { describe, expect, it } from "vitest";
import { startTestApp } from "../support/app.ts";
import { startDocumented } from "../support/documented-service.ts";
import { expectValid, type Schema } from "../support/openapi.ts";

interface Json {
  [name: string]: unknown;
}

describe("/openapi.json", () => {
  it("is valid OpenAPI 3.1, and names the service, its scopes and no secret", async () => {
    const service = await startDocumented();
    await expectValid(service.document);
    expect(service.document).toMatchObject({
      openapi: "3.1.0",
      servers: [{ url: service.test.origin }],
      components: {
        securitySchemes: {
          bearer: { type: "http", scheme: "bearer" },
          oauth2: {
            type: "oauth2",
            flows: {
              authorizationCode: {
                authorizationUrl: `${service.test.origin}/oauth/v2/authorize`,
                tokenUrl: `${service.test.origin}/oauth/v2/token`,
                scopes: {
                  openid: expect.stringMatching(/./),
                  "urn:zitadel:iam:org:project:id:zitadel:aud": expect.stringMatching(/./),
                },
              },
            },
          },
        },
      },
    });
  });

  it("R0.1 R0.2 says that email is no out-of-band authenticator", async () => {
    const text = JSON.stringify((await startDocumented()).document);
    expect(text).toMatch(/OWASP ASVS 5\.0 \(6\.3\.6, V6\.6\) and NIST SP 800-63B-4/);
    expect(text).toContain('never AAL2 or \\"mfa\\" by itself');
  });

  it("names the endpoints of the configured issuer, or the configured endpoints", async () => {
    const environment = {
      COUNTERSIGN_ISSUERS: "https://login.example.com/realm",
      COUNTERSIGN_OAUTH_TOKEN_URL: "https://tokens.example.com/t",
      COUNTERSIGN_OAUTH_SCOPES: "openid,otp",
    };
    const { origin } = await startTestApp({ environment });
    const authorizationCode = {
      authorizationUrl: "https://login.example.com/oauth/v2/authorize",
      tokenUrl: "https://tokens.example.com/t",
      scopes: { openid: expect.stringMatching(/./), otp: "" },
    };
    expect(await (await fetch(`${origin}/openapi.json`)).json()).toMatchObject({
      security: [{ oauth2: ["openid", "otp"] }, { bearer: [] }],
      components: { securitySchemes: { oauth2: { flows: { authorizationCode } } } },
    });
    const policy = (await fetch(`${origin}/docs`)).headers.get("content-security-policy");
    expect(policy).toContain(`connect-src 'self' ${origin} https://tokens.example.com`);
  });

  it("describes every operation with all statuses, and every parameter", async () => {
    const { operations } = await startDocumented();
    for (const { operation } of operations) {
      const statuses = ["200", "400", "401", "403", "404", "409", "429", "default"];
      expect(Object.keys(operation.responses).sort()).toEqual(statuses);
      expect(operation).toMatchObject({
        summary: expect.stringMatching(/./),
        description: expect.stringMatching(/./),
        tags: [expect.stringMatching(/^(User|Challenge)Service$/)],
      });
      for (const parameter of operation.parameters)
        expect(parameter).toMatchObject({ description: expect.stringMatching(/./) });
    }
  });

  it("has examples that are valid against their schemas", async () => {
    const { document, check } = await startDocumented();
    let count = 0;
    const hold = (schema: Schema, values: readonly unknown[], path: string) => {
      for (const value of values) expect(check(schema, value), path).toEqual([]);
      count += values.length;
    };
    const visit = (node: unknown, path: string): void => {
      if (typeof node !== "object" || node === null) return;
      const { schema, example, examples } = node as Json;
      if (schema) {
        const named = Object.values((examples ?? {}) as Record<string, { value: unknown }>);
        hold(
          schema as Schema,
          named.map(({ value }) => value),
          path,
        );
        if (example !== undefined) hold(schema as Schema, [example], path);
      } else if (Array.isArray(examples)) hold(node as Schema, examples, path);
      for (const [name, part] of Object.entries(node)) {
        if (name !== "example" && name !== "examples") visit(part, `${path}/${name}`);
      }
    };
    visit(document, "#");
    expect(count).toBeGreaterThan(40);
  });
});

describe("/openapi.json and /docs over HTTP", () => {
  it.each(["/openapi.json", "/docs", "/docs/page.js"])(
    "%s has an entity tag, is compressed on request, and answers only GET and HEAD",
    async (path) => {
      const { origin } = await startTestApp();
      const plain = await fetch(origin + path, { headers: { "accept-encoding": "identity" } });
      const gzipped = await fetch(`${origin}${path}?x=1`, { headers: { "accept-encoding": "gzip" } });
      expect(await gzipped.text()).toBe(await plain.text());
      expect(plain.headers.get("content-encoding")).toBeNull();
      expect(gzipped.headers.get("content-encoding")).toBe("gzip");
      expect(plain.headers.get("cache-control")).toBe("no-cache");
      expect(plain.headers.get("vary")).toContain("Accept-Encoding");
      expect(plain.headers.get("x-content-type-options")).toBe("nosniff");

      const etag = plain.headers.get("etag")!;
      expect(etag).toBe(gzipped.headers.get("etag"));
      const again = await fetch(origin + path, { headers: { "if-none-match": `"other", ${etag}` } });
      expect([again.status, await again.text()]).toEqual([304, ""]);
      const other = await fetch(origin + path, { headers: { "if-none-match": '"other"' } });
      expect(other.status).toBe(200);

      const head = await fetch(origin + path, { method: "HEAD", headers: { "accept-encoding": "identity" } });
      expect(head.headers.get("content-length")).toBe(plain.headers.get("content-length"));
      const posted = await fetch(origin + path, { method: "POST" });
      expect([posted.status, posted.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    },
  );

  it("lets allowed origins read the document, and no other origin the page", async () => {
    const environment = { COUNTERSIGN_ALLOWED_ORIGINS: "https://app.example.com" };
    const { origin } = await startTestApp({ environment });
    const ask = (path: string, from: string) => fetch(origin + path, { headers: { origin: from } });
    const allowed = await ask("/openapi.json", "https://app.example.com");
    expect(allowed.headers.get("access-control-allow-origin")).toBe("https://app.example.com");
    expect(allowed.headers.get("vary")).toBe("Origin, Accept-Encoding");
    const other = await ask("/openapi.json", "https://evil.example");
    expect(other.headers.get("access-control-allow-origin")).toBeNull();
    const page = await ask("/docs", "https://app.example.com");
    expect(page.headers.get("access-control-allow-origin")).toBeNull();
  });

  it("serves the files of Swagger UI whole, as immutable", async () => {
    const { origin } = await startTestApp();
    const page = await (await fetch(`${origin}/docs`)).text();
    const files = [...page.matchAll(/(?:src|href)="(\/docs\/swagger-ui-[^"]+)"/g)].map(([, path]) => path);
    expect(files).toHaveLength(2);
    for (const path of files) {
      const plain = await fetch(origin + path, { headers: { "accept-encoding": "identity" } });
      expect(plain.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
      const text = await plain.text();
      expect(Buffer.byteLength(text)).toBe(Number(plain.headers.get("content-length")));
      expect(await (await fetch(origin + path)).text()).toBe(text);
    }
  });
});
