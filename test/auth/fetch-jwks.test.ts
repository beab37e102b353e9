import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import { createVerifier } from "../../src/auth/verifier.ts";
import { hourMs, minuteMs, secondMs } from "../../src/lib/time.ts";
import { type Answer, json, startIssuer } from "../support/auth/issuer-server.ts";
import { audience, goodClaims, makeKey, signToken, type TestKey } from "../support/auth/tokens.ts";
import { outcome, startVerifier } from "../support/auth/verifier.ts";
import { MovableClock } from "../support/clock.ts";

let oldKey: TestKey;
let newKey: TestKey;

beforeAll(async () => {
  [oldKey, newKey] = await Promise.all([makeKey("ES256", "old"), makeKey("ES256", "new")]);
});

const bytes = (body: string | Buffer, headers: Record<string, string>): Answer => {
  return (_, response) => response.writeHead(200, headers).end(body);
};
const isJson = { "content-type": "application/json" };
const oldKeys = () => JSON.stringify({ keys: [oldKey.jwk] });

const faults: [name: string, answer: () => Answer][] = [
  ["500", () => (_, response) => response.writeHead(500, isJson).end(oldKeys())],
  ["404", () => (_, response) => response.writeHead(404).end()],
  ["204", () => (_, response) => response.writeHead(204).end()],
  ["206 with keys", () => (_, response) => response.writeHead(206, isJson).end(oldKeys())],
  ["HTML", () => bytes("<html>Please sign in</html>", { "content-type": "text/html" })],
  ["keys with content type text/html", () => bytes(oldKeys(), { "content-type": "text/html" })],
  ["keys without a content type", () => bytes(oldKeys(), {})],
  [
    "keys with content type application/xjson",
    () => bytes(oldKeys(), { "content-type": "application/xjson" }),
  ],
  ["HTML with content type application/json", () => bytes("<html>Please sign in</html>", isJson)],
  ["an empty body", () => bytes("", isJson)],
  ["truncated JSON", () => bytes(oldKeys().slice(0, -2), isJson)],
  ["invalid UTF-8", () => bytes(Buffer.from([0x7b, 0xff, 0x7d]), isJson)],
  ["null", () => json(null)],
  ["an array", () => json([oldKey.jwk])],
  ["an object without keys", () => json({})],
  ["keys that are not an array", () => json({ keys: { 0: oldKey.jwk } })],
  ["a key that is null", () => json({ keys: [null, oldKey.jwk] })],
  ["an empty set", () => json({ keys: [] })],
  ["a set larger than 64 KiB", () => json({ keys: [oldKey.jwk], padding: "x".repeat(64 * 1024) })],
  [
    "a small body that inflates to 10 MB",
    () => bytes(gzipSync(`${oldKeys()}${" ".repeat(10_000_000)}`), { ...isJson, "content-encoding": "gzip" }),
  ],
  ["invalid gzip", () => bytes("not gzip", { ...isJson, "content-encoding": "gzip" })],
  ["a closed connection", () => (request) => request.socket.destroy()],
  [
    "a connection that closes in the middle of the body",
    () => (request, response) => {
      response.writeHead(200, { ...isJson, "content-length": "1000" }).write("{");
      request.socket.end();
    },
  ],
];

describe.each(faults)("if the issuer answers with %s", (_, answer) => {
  test("tokens are refused until it has recovered", async () => {
    const { clock, server, check, failures } = await startVerifier([]);
    server.answers.set("/keys", answer());
    expect(await check(oldKey)).toBe("ISSUER_UNAVAILABLE");
    expect(failures.map((error) => error.message)).toEqual([
      `the keys of the issuer ${server.origin} cannot be fetched`,
    ]);
    expect(failures[0]?.cause).toBeInstanceOf(Error);
    server.publish(oldKey);
    clock.move(5 * secondMs);
    expect(await check(oldKey)).toBe("ok");
  });

  test("the last keys remain in use for 24 hours", async () => {
    const { clock, server, check } = await startVerifier([oldKey]);
    expect(await check(oldKey)).toBe("ok");
    server.answers.set("/keys", answer());
    clock.move(10 * minuteMs);
    expect(await check(oldKey)).toBe("ok");
    expect(await check(newKey)).toBe("TOKEN_INVALID");
    clock.move(24 * hourMs - 10 * minuteMs - 1);
    expect(await check(oldKey)).toBe("ok");
    clock.move(1);
    expect(await check(oldKey)).toBe("ISSUER_UNAVAILABLE");
    server.publish(oldKey);
    clock.move(minuteMs);
    expect(await check(oldKey)).toBe("ok");
  });
});

describe("fetching the keys", () => {
  test.each([301, 302, 303, 307, 308])("does not follow a redirect with status %d", async (status) => {
    const { server, check } = await startVerifier([]);
    const internal = await startIssuer(oldKey);
    server.answers.set("/keys", (_, response) =>
      response.writeHead(status, { location: `${internal.origin}/keys` }).end(),
    );
    expect(await check(oldKey)).toBe("ISSUER_UNAVAILABLE");
    expect(internal.asked).toEqual([]);
  });

  test("aborts an endless body at 64 KiB", async () => {
    const { server, check } = await startVerifier([]);
    const closed = new Promise((resolve) => {
      server.answers.set("/keys", (_, response) => {
        response.writeHead(200, isJson).on("close", resolve);
        const more = () => {
          while (response.write(" ".repeat(16 * 1024)));
        };
        response.on("drain", more);
        more();
      });
    });
    expect(await check(oldKey)).toBe("ISSUER_UNAVAILABLE");
    await closed;
  });

  test.each<[string, Answer]>([
    ["before the header", () => {}],
    ["after the header", (_, response) => response.writeHead(200, isJson).flushHeaders()],
    ["in the body", (_, response) => response.writeHead(200, isJson).write("{")],
  ])("times out after 5 seconds if the answer stalls %s", async (_, answer) => {
    const { clock, server, check, failures } = await startVerifier([]);
    server.answers.set("/keys", answer);
    const checked = check(oldKey);
    await server.askedTimes(1);
    clock.move(5 * secondMs);
    expect(await checked).toBe("ISSUER_UNAVAILABLE");
    expect(String(failures[0]?.cause)).toContain("5000 ms");
  });

  test.each([
    "application/json",
    "application/json; charset=utf-8",
    "application/json;charset=utf-8",
    "Application/JSON",
    "application/jwk-set+json",
  ])("accepts the content type %s", async (type) => {
    const { server, check } = await startVerifier([]);
    server.answers.set("/keys", json({ keys: [oldKey.jwk] }, type));
    expect(await check(oldKey)).toBe("ok");
  });
});

describe("discovery", () => {
  const openid = "/.well-known/openid-configuration";
  const oauth = "/.well-known/oauth-authorization-server";

  async function discovering(path = "") {
    const clock = new MovableClock();
    const server = await startIssuer(oldKey);
    const issuer = server.origin + path;
    const verifier = createVerifier({ issuers: [{ issuer }], audience, clock });
    const metadata = { issuer, jwks_uri: `${server.origin}/keys` };
    const check = () => outcome(verifier.authenticate(signToken(oldKey, goodClaims(issuer, clock))));
    return { clock, server, issuer, metadata, check };
  }

  test.each([
    ["OpenID Connect Discovery", "", openid, [openid]],
    ["OpenID Connect Discovery", "/realms/a", `/realms/a${openid}`, [`/realms/a${openid}`]],
    ["OpenID Connect Discovery", "/realms/a/", `/realms/a${openid}`, [`/realms/a${openid}`]],
    ["OpenID Connect Discovery", "/", openid, [openid]],
    ["RFC 8414", "", oauth, [openid, oauth]],
    ["RFC 8414", "/realms/a", `${oauth}/realms/a`, [`/realms/a${openid}`, `${oauth}/realms/a`]],
    ["RFC 8414", "/realms/a/", `${oauth}/realms/a`, [`/realms/a${openid}`, `${oauth}/realms/a`]],
  ])("finds the metadata of %s for the issuer path '%s'", async (_, path, place, asked) => {
    const { server, metadata, check } = await discovering(path);
    server.answers.set(place, json(metadata));
    expect(await check()).toBe("ok");
    expect(server.asked).toEqual([...asked, "/keys"]);
  });

  test.each([
    ["another issuer", (issuer: string) => ({ issuer: `${issuer}.example` })],
    ["the issuer with a trailing slash", (issuer: string) => ({ issuer: `${issuer}/` })],
    ["no issuer", () => ({ issuer: undefined })],
    ["no jwks_uri", () => ({ jwks_uri: undefined })],
    ["a jwks_uri that is not a string", (issuer: string) => ({ jwks_uri: [`${issuer}/keys`] })],
    ["a relative jwks_uri", () => ({ jwks_uri: "/keys" })],
    ["http to another host", () => ({ jwks_uri: "http://192.0.2.1/keys" })],
    ["http to a host that starts like the loopback", () => ({ jwks_uri: "http://127.0.0.1.example/keys" })],
    ["a file URL", () => ({ jwks_uri: "file:///etc/passwd" })],
    ["a data URL", () => ({ jwks_uri: `data:application/json,${oldKeys()}` })],
    ["credentials in the URL", (issuer: string) => ({ jwks_uri: `${issuer.replace("//", "//a:b@")}/keys` })],
  ])("refuses metadata with %s", async (_, change) => {
    const { server, issuer, metadata, check } = await discovering();
    for (const place of [openid, oauth]) server.answers.set(place, json({ ...metadata, ...change(issuer) }));
    expect(await check()).toBe("ISSUER_UNAVAILABLE");
    expect(server.asked).toEqual([openid, oauth]);
  });

  test("is repeated each time the keys are fetched", async () => {
    const { clock, server, metadata, check } = await discovering();
    server.answers.set(openid, json(metadata));
    expect(await check()).toBe("ok");
    server.answers.set(openid, json({ ...metadata, jwks_uri: `${metadata.issuer}/moved` }));
    server.answers.set("/moved", json({ keys: [newKey.jwk] }));
    clock.move(10 * minuteMs);
    expect(await check()).toBe("TOKEN_INVALID");
    expect(server.asked).toEqual([openid, "/keys", openid, "/moved"]);
  });

  test("shares the 5 seconds with fetching the keys", async () => {
    const { clock, server, metadata, check } = await discovering();
    server.answers.set(openid, json(metadata));
    server.answers.set("/keys", () => {});
    const checked = check();
    await server.askedTimes(2);
    clock.move(5 * secondMs);
    expect(await checked).toBe("ISSUER_UNAVAILABLE");
  });
});
