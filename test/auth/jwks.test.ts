import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import { createVerifier } from "../../src/auth/verifier.ts";
import {
  type Answer,
  audience,
  encode,
  failureOf,
  goodClaims,
  json,
  makeKey,
  outcome,
  signToken,
  startIssuer,
  startServer,
  type TestKey,
} from "../support/auth/issuer-server.ts";
import { MovableClock } from "../support/clock.ts";

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
// Long enough for every test here.
const ttlS = 10 * 24 * 3600;

let oldKey: TestKey;
let newKey: TestKey;

beforeAll(async () => {
  [oldKey, newKey] = await Promise.all([makeKey("ES256", "old"), makeKey("ES256", "new")]);
});

async function setup(...published: readonly TestKey[]) {
  const clock = new MovableClock();
  const server = await startIssuer(...published);
  const failures: Error[] = [];
  const verifier = createVerifier({
    issuers: [server.config],
    audience,
    clock,
    onIssuerFailure: (_, error) => failures.push(error),
  });
  const claims = goodClaims(server.origin, clock);
  let count = 0;
  // Each is another token, so that no verdict on one answers for the next.
  const token = (key: TestKey, header: Record<string, unknown> = {}) =>
    signToken(key, { ...claims, exp: claims.iat + ttlS, jti: `claim-${++count}` }, header);
  const check = (key: TestKey, header?: Record<string, unknown>) =>
    outcome(verifier.authenticate(token(key, header)));
  return { clock, server, verifier, failures, token, check };
}

const bytes = (body: string | Buffer, headers: Record<string, string>): Answer => {
  return (_, response) => response.writeHead(200, headers).end(body);
};
const isJson = { "content-type": "application/json" };
const oldKeys = () => JSON.stringify({ keys: [oldKey.jwk] });

/** Everything that an issuer may answer in place of its keys. */
const faults: [name: string, answer: () => Answer][] = [
  ["500", () => (_, response) => response.writeHead(500, isJson).end(oldKeys())],
  ["404", () => (_, response) => response.writeHead(404).end()],
  ["204", () => (_, response) => response.writeHead(204).end()],
  ["206 and a part", () => (_, response) => response.writeHead(206, isJson).end(oldKeys())],
  ["HTML", () => bytes("<html>Please sign in</html>", { "content-type": "text/html" })],
  ["keys as HTML", () => bytes(oldKeys(), { "content-type": "text/html" })],
  ["keys without a type", () => bytes(oldKeys(), {})],
  ["keys of a type that ends like JSON", () => bytes(oldKeys(), { "content-type": "application/xjson" })],
  ["HTML as JSON", () => bytes("<html>Please sign in</html>", isJson)],
  ["nothing", () => bytes("", isJson)],
  ["half a text", () => bytes(oldKeys().slice(0, -2), isJson)],
  ["bytes that are not UTF-8", () => bytes(Buffer.from([0x7b, 0xff, 0x7d]), isJson)],
  ["null", () => json(null)],
  ["a list", () => json([oldKey.jwk])],
  ["an object without keys", () => json({})],
  ["keys that are not a list", () => json({ keys: { 0: oldKey.jwk } })],
  ["a key that is null", () => json({ keys: [null, oldKey.jwk] })],
  ["an empty set", () => json({ keys: [] })],
  ["a set larger than 64 KiB", () => json({ keys: [oldKey.jwk], padding: "x".repeat(64 * 1024) })],
  [
    "a small text that inflates to 10 MB",
    () => bytes(gzipSync(`${oldKeys()}${" ".repeat(10_000_000)}`), { ...isJson, "content-encoding": "gzip" }),
  ],
  ["a broken encoding", () => bytes("not gzip", { ...isJson, "content-encoding": "gzip" })],
  ["a closed connection", () => (request) => request.socket.destroy()],
  [
    "a connection that is closed half way",
    () => (request, response) => {
      response.writeHead(200, { ...isJson, "content-length": "1000" }).write("{");
      request.socket.end();
    },
  ],
];

describe("while the issuer answers with", () => {
  describe.each(faults)("%s", (_, answer) => {
    test("no token can be checked if there were no keys before", async () => {
      const { clock, server, check, verifier, failures } = await setup();
      server.answers.set("/keys", answer());
      expect(await check(oldKey)).toBe("ISSUER_UNAVAILABLE");
      expect(await verifier.unavailableIssuers()).toEqual([server.origin]);
      expect(failures.map((error) => error.message)).toEqual([
        `the keys of the issuer ${server.origin} cannot be fetched`,
      ]);
      expect(failures[0]?.cause).toBeInstanceOf(Error);
      server.publish(oldKey);
      clock.move(5 * second);
      expect(await check(oldKey)).toBe("ok");
      expect(await verifier.unavailableIssuers()).toEqual([]);
    });

    test("the keys from before go on for 24 hours", async () => {
      const { clock, server, check, verifier } = await setup(oldKey);
      expect(await check(oldKey)).toBe("ok");
      server.answers.set("/keys", answer());
      clock.move(10 * minute);
      expect(await check(oldKey)).toBe("ok");
      expect(await check(newKey)).toBe("TOKEN_INVALID");
      clock.move(24 * hour - 10 * minute - 1);
      expect(await check(oldKey)).toBe("ok");
      expect(await verifier.unavailableIssuers()).toEqual([]);
      clock.move(1);
      expect(await check(oldKey)).toBe("ISSUER_UNAVAILABLE");
      server.publish(oldKey);
      clock.move(minute);
      expect(await check(oldKey)).toBe("ok");
    });
  });
});

describe("an issuer that is unavailable", () => {
  test("is so for tokens that were checked before, too", async () => {
    const { clock, server, verifier, token } = await setup(oldKey);
    const remembered = token(oldKey);
    await verifier.authenticate(remembered);
    server.answers.clear();
    clock.move(24 * hour);
    expect(await outcome(verifier.authenticate(remembered), remembered)).toBe("ISSUER_UNAVAILABLE");
  });

  test("is asked again when RetryInfo says so, and not before", async () => {
    const { clock, server, verifier, token, check } = await setup();
    server.answers.clear();
    expect(retryAfterMs(await failureOf(verifier.authenticate(token(oldKey))))).toBe(5_000);
    clock.move(2 * second);
    expect(retryAfterMs(await failureOf(verifier.authenticate(token(oldKey))))).toBe(3_000);
    expect(server.asked).toHaveLength(1);
    server.publish(oldKey);
    clock.move(3 * second);
    expect(await check(oldKey)).toBe("ok");
    expect(server.asked).toHaveLength(2);
  });

  test("does not stand in the way of another", async () => {
    const clock = new MovableClock();
    const [dead, live] = [await startServer(), await startIssuer(oldKey)];
    const verifier = createVerifier({
      issuers: [{ issuer: dead.origin, jwksUri: `${dead.origin}/keys` }, live.config],
      audience,
      clock,
    });
    expect(await verifier.unavailableIssuers()).toEqual([dead.origin]);
    const token = signToken(oldKey, goodClaims(live.origin, clock));
    expect(await outcome(verifier.authenticate(token))).toBe("ok");
  });

  test("may be one that nothing listens for", async () => {
    const clock = new MovableClock();
    // Port 1 of the loopback is closed.
    const issuer = "http://127.0.0.1:1";
    const verifier = createVerifier({ issuers: [{ issuer }], audience, clock });
    const token = signToken(oldKey, goodClaims(issuer, clock));
    expect(await outcome(verifier.authenticate(token), token)).toBe("ISSUER_UNAVAILABLE");
  });
});

describe("a redirect", () => {
  test.each([301, 302, 303, 307, 308])("is not followed: %d", async (status) => {
    const { server, check } = await setup();
    const internal = await startIssuer(oldKey);
    server.answers.set("/keys", (_, response) =>
      response.writeHead(status, { location: `${internal.origin}/keys` }).end(),
    );
    expect(await check(oldKey)).toBe("ISSUER_UNAVAILABLE");
    expect(internal.asked).toEqual([]);
  });
});

describe("an answer without end", () => {
  test("is left at 64 KiB", async () => {
    const { server, check } = await setup();
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
    ["before it begins", () => {}],
    ["after its header", (_, response) => response.writeHead(200, isJson).flushHeaders()],
    ["within its body", (_, response) => response.writeHead(200, isJson).write("{")],
  ])("is left after 5 seconds: %s", async (_, answer) => {
    const { clock, server, check, failures } = await setup();
    server.answers.set("/keys", answer);
    const checked = check(oldKey);
    await server.askedTimes(1);
    clock.move(5 * second);
    expect(await checked).toBe("ISSUER_UNAVAILABLE");
    expect(String(failures[0]?.cause)).toContain("5000 ms");
  });

  test("holds up nobody whom the keys at hand can serve, past the first", async () => {
    const { clock, server, check } = await setup(oldKey);
    expect(await check(oldKey)).toBe("ok");
    server.answers.set("/keys", () => {});
    clock.move(10 * minute);
    const first = check(oldKey);
    await server.askedTimes(2);
    clock.move(5 * second);
    expect(await first).toBe("ok");
    clock.move(25 * second);
    // The third request hangs, and the clock stands still.
    expect(await check(oldKey)).toBe("ok");
    await server.askedTimes(3);
    expect(await check(oldKey)).toBe("ok");
    expect(server.asked).toHaveLength(3);
  });
});

describe("keys are fetched", () => {
  test("once for 50 first calls", async () => {
    const { server, check } = await setup(oldKey);
    const results = await Promise.all(Array.from({ length: 50 }, () => check(oldKey)));
    expect(new Set(results)).toEqual(new Set(["ok"]));
    expect(server.asked).toEqual(["/keys"]);
  });

  test("not before the first token", async () => {
    const { server } = await setup(oldKey);
    expect(server.asked).toEqual([]);
  });

  test("every 10 minutes while there are calls", async () => {
    const { clock, server, check } = await setup(oldKey);
    for (let i = 0; i < 60; i++) {
      expect(await check(oldKey)).toBe("ok");
      clock.move(minute);
    }
    expect(server.asked).toHaveLength(6);
  });

  test("once in 30 seconds for 10,000 unknown keys", async () => {
    const { clock, server, check, token, verifier } = await setup(oldKey);
    expect(await check(oldKey)).toBe("ok");
    clock.move(30 * second);
    const [, payload, signature] = token(oldKey).split(".");
    const flood = Array.from({ length: 10_000 }, (_, i) => {
      const header = encode({ alg: "ES256", typ: "at+jwt", kid: `random-${i}` });
      return outcome(verifier.authenticate(`${header}.${payload}.${signature}`));
    });
    expect(new Set(await Promise.all(flood))).toEqual(new Set(["TOKEN_INVALID"]));
    expect(server.asked).toHaveLength(2);
    clock.move(30 * second - 1);
    expect(await check(newKey)).toBe("TOKEN_INVALID");
    expect(server.asked).toHaveLength(2);
    clock.move(1);
    expect(await check(newKey)).toBe("TOKEN_INVALID");
    expect(server.asked).toHaveLength(3);
  });

  test("once in 30 seconds for unknown keys while that fails", async () => {
    const { clock, server, check } = await setup(oldKey);
    expect(await check(oldKey)).toBe("ok");
    server.answers.clear();
    clock.move(30 * second);
    for (let i = 0; i < 60; i++) {
      expect(await check(newKey)).toBe("TOKEN_INVALID");
      clock.move(second);
    }
    expect(server.asked).toHaveLength(3);
  });

  test("again after the clock was set back", async () => {
    const { clock, server, check } = await setup(oldKey);
    expect(await check(oldKey)).toBe("ok");
    server.publish(newKey);
    clock.move(-20 * second);
    expect(await check(newKey)).toBe("ok");
    expect(server.asked).toHaveLength(2);
  });
});

describe("a new key", () => {
  test("counts from the next fetch on", async () => {
    const { clock, server, check } = await setup(oldKey);
    expect(await check(oldKey)).toBe("ok");
    server.publish(oldKey, newKey);
    expect(await check(newKey)).toBe("TOKEN_INVALID");
    clock.move(30 * second);
    expect(await check(newKey)).toBe("ok");
    expect(await check(oldKey)).toBe("ok");
    expect(server.asked).toHaveLength(2);
  });

  test("counts for all who wait for it", async () => {
    const { clock, server, check } = await setup(oldKey);
    expect(await check(oldKey)).toBe("ok");
    server.publish(newKey);
    clock.move(30 * second);
    const results = await Promise.all(Array.from({ length: 50 }, () => check(newKey)));
    expect(new Set(results)).toEqual(new Set(["ok"]));
    expect(server.asked).toHaveLength(2);
  });

  test("counts for a token that was refused before it", async () => {
    const { clock, server, verifier, check, token } = await setup(oldKey);
    expect(await check(oldKey)).toBe("ok");
    const early = token(newKey);
    expect(await outcome(verifier.authenticate(early), early)).toBe("TOKEN_INVALID");
    server.publish(newKey);
    clock.move(30 * second);
    expect(await outcome(verifier.authenticate(early))).toBe("ok");
  });

  test("of another type may have the kid of the old one", async () => {
    const { clock, server, check } = await setup(oldKey);
    expect(await check(oldKey)).toBe("ok");
    const rsaKey = await makeKey("RS256", "old");
    server.publish(rsaKey);
    clock.move(30 * second);
    expect(await check(rsaKey)).toBe("ok");
    expect(await check(oldKey)).toBe("TOKEN_INVALID");
  });
});

describe("a retired key", () => {
  test("is refused 10 minutes later, also for a token that was checked shortly before", async () => {
    const { clock, server, verifier, token } = await setup(oldKey, newKey);
    const remembered = token(oldKey);
    await verifier.authenticate(token(newKey));
    clock.move(second);
    server.publish(newKey);
    clock.move(9 * minute + 58 * second);
    expect(await outcome(verifier.authenticate(remembered))).toBe("ok");
    clock.move(second);
    expect(await outcome(verifier.authenticate(remembered), remembered)).toBe("TOKEN_INVALID");
  });

  test("is refused from any fetch on", async () => {
    const { clock, server, verifier, token, check } = await setup(oldKey);
    const remembered = token(oldKey);
    await verifier.authenticate(remembered);
    server.publish(newKey);
    clock.move(30 * second);
    expect(await check(newKey)).toBe("ok");
    expect(await outcome(verifier.authenticate(remembered), remembered)).toBe("TOKEN_INVALID");
  });
});

describe("the same keys, fetched again,", () => {
  test("leave what was checked with them remembered", async () => {
    const { clock, server, verifier, token, check } = await setup(oldKey);
    const remembered = token(oldKey);
    const principal = await verifier.authenticate(remembered);
    clock.move(30 * second);
    expect(await check(newKey)).toBe("TOKEN_INVALID");
    expect(server.asked).toHaveLength(2);
    expect(await verifier.authenticate(remembered)).toBe(principal);
  });
});

describe("of several keys", () => {
  test("under one kid, each counts", async () => {
    const [a, b] = [await makeKey("ES256", "same"), await makeKey("ES256", "same")];
    const { check } = await setup(a, b);
    expect(await check(a)).toBe("ok");
    expect(await check(b)).toBe("ok");
    expect(await check({ ...newKey, jwk: { ...newKey.jwk, kid: "same" } })).toBe("TOKEN_INVALID");
  });

  test("each is tried for a token without a kid", async () => {
    const { verifier, token, check } = await setup(oldKey, newKey);
    expect(await check(newKey, { kid: undefined })).toBe("ok");
    expect(await check(oldKey, { kid: undefined })).toBe("ok");
    for (const key of [oldKey, newKey]) {
      const wrongType = token(key, { kid: undefined, typ: "JWT" });
      expect((await failureOf(verifier.authenticate(wrongType)))?.message).toContain('"typ"');
    }
  });

  test("no more than 8 are tried", async () => {
    const many = await Promise.all(Array.from({ length: 9 }, () => makeKey("ES256", "same")));
    const { check } = await setup(...many);
    const results = [];
    for (const key of many) results.push(await check(key));
    expect(results).toEqual([...Array.from({ length: 8 }, () => "ok"), "TOKEN_INVALID"]);
  });

  test("a broken one spoils no other", async () => {
    const broken: TestKey = { ...oldKey, jwk: { kty: "EC", crv: "P-256", x: "AA", y: "AA", kid: "broken" } };
    const { check, verifier, token } = await setup(broken, newKey);
    expect(await check(newKey)).toBe("ok");
    expect(await check(newKey, { kid: undefined })).toBe("ok");
    const error = await failureOf(verifier.authenticate(token(broken)));
    expect(error?.message).toContain("signature");
    // For the log of the operator.
    expect(error?.cause).toBeInstanceOf(Error);
  });

  test("those for encryption do not count", async () => {
    const { check } = await setup({ ...oldKey, jwk: { ...oldKey.jwk, use: "enc" } }, newKey);
    expect(await check(oldKey)).toBe("TOKEN_INVALID");
  });
});

describe("the metadata", () => {
  const openid = "/.well-known/openid-configuration";
  const oauth = "/.well-known/oauth-authorization-server";

  async function discovering(path = "") {
    const clock = new MovableClock();
    const server = await startIssuer(oldKey);
    const issuer = server.origin + path;
    const verifier = createVerifier({ issuers: [{ issuer }], audience, clock });
    const metadata = { issuer, jwks_uri: `${server.origin}/keys` };
    const check = () => outcome(verifier.authenticate(signToken(oldKey, goodClaims(issuer, clock))));
    return { clock, server, issuer, metadata, check, verifier };
  }

  test.each([
    ["OpenID Connect Discovery", "", openid, [openid]],
    ["it, with a path", "/realms/a", `/realms/a${openid}`, [`/realms/a${openid}`]],
    ["it, with a slash at the end", "/realms/a/", `/realms/a${openid}`, [`/realms/a${openid}`]],
    ["it, with a slash alone", "/", openid, [openid]],
    ["RFC 8414", "", oauth, [openid, oauth]],
    ["it, with a path", "/realms/a", `${oauth}/realms/a`, [`/realms/a${openid}`, `${oauth}/realms/a`]],
    [
      "it, with a slash at the end",
      "/realms/a/",
      `${oauth}/realms/a`,
      [`/realms/a${openid}`, `${oauth}/realms/a`],
    ],
  ])("is found as in %s (%s)", async (_, path, place, asked) => {
    const { server, metadata, check } = await discovering(path);
    server.answers.set(place, json(metadata));
    expect(await check()).toBe("ok");
    expect(server.asked).toEqual([...asked, "/keys"]);
  });

  test.each([
    ["another issuer", (issuer: string) => ({ issuer: `${issuer}.example` })],
    ["the issuer and a slash", (issuer: string) => ({ issuer: `${issuer}/` })],
    ["no issuer", () => ({ issuer: undefined })],
    ["no address", () => ({ jwks_uri: undefined })],
    ["an address that is not a text", (issuer: string) => ({ jwks_uri: [`${issuer}/keys`] })],
    ["an address that is relative", () => ({ jwks_uri: "/keys" })],
    ["http to another host", () => ({ jwks_uri: "http://192.0.2.1/keys" })],
    ["http to a host that begins like the loopback", () => ({ jwks_uri: "http://127.0.0.1.example/keys" })],
    ["a file", () => ({ jwks_uri: "file:///etc/passwd" })],
    ["keys in the address", () => ({ jwks_uri: `data:application/json,${oldKeys()}` })],
    ["a user in the address", (issuer: string) => ({ jwks_uri: `${issuer.replace("//", "//a:b@")}/keys` })],
  ])("is not followed with %s", async (_, change) => {
    const { server, issuer, metadata, check, verifier } = await discovering();
    for (const place of [openid, oauth]) server.answers.set(place, json({ ...metadata, ...change(issuer) }));
    expect(await check()).toBe("ISSUER_UNAVAILABLE");
    expect(await verifier.unavailableIssuers()).toEqual([issuer]);
    expect(server.asked).toEqual([openid, oauth]);
  });

  test("is asked for again with each fetch of the keys", async () => {
    const { clock, server, metadata, check } = await discovering();
    server.answers.set(openid, json(metadata));
    expect(await check()).toBe("ok");
    server.answers.set(openid, json({ ...metadata, jwks_uri: `${metadata.issuer}/moved` }));
    server.answers.set("/moved", json({ keys: [newKey.jwk] }));
    clock.move(10 * minute);
    expect(await check()).toBe("TOKEN_INVALID");
    expect(server.asked).toEqual([openid, "/keys", openid, "/moved"]);
  });

  test("and the keys share 5 seconds", async () => {
    const { clock, server, metadata, check } = await discovering();
    server.answers.set(openid, json(metadata));
    server.answers.set("/keys", () => {});
    const checked = check();
    await server.askedTimes(2);
    clock.move(5 * second);
    expect(await checked).toBe("ISSUER_UNAVAILABLE");
  });
});

describe("keys are accepted as", () => {
  test.each([
    "application/json",
    "application/json; charset=utf-8",
    "application/json;charset=utf-8",
    "Application/JSON",
    "application/jwk-set+json",
  ])("%s", async (type) => {
    const { server, check } = await setup();
    server.answers.set("/keys", json({ keys: [oldKey.jwk] }, type));
    expect(await check(oldKey)).toBe("ok");
  });
});

describe("a configuration is refused with", () => {
  const jwks = { keys: [] };
  test.each([
    ["an issuer to discover that is not a URL", [{ issuer: "issuer" }]],
    ["http to another host", [{ issuer: "http://issuer.example" }]],
    ["keys over http from another host", [{ issuer: "urn:a", jwksUri: "http://issuer.example/keys" }]],
    ["keys in a file", [{ issuer: "urn:a", jwksUri: "file:///keys" }]],
    ["a password in the address", [{ issuer: "urn:a", jwksUri: "https://a:b@issuer.example/keys" }]],
    ["an empty issuer", [{ issuer: "", jwks }]],
    [
      "one issuer twice",
      [
        { issuer: "urn:a", jwks },
        { issuer: "urn:a", jwksUri: "https://issuer.example/keys" },
      ],
    ],
    ["keys that are not a set", [{ issuer: "urn:a", jwks: JSON.parse('{"keys":1}') }]],
  ])("%s", (_, issuers) => {
    expect(() => createVerifier({ issuers, audience, clock: new MovableClock() })).toThrow();
  });

  test("an empty audience", () => {
    expect(() => createVerifier({ issuers: [], audience: "", clock: new MovableClock() })).toThrow(
      "audience",
    );
  });

  test.each([
    "http://localhost/",
    "http://127.0.0.1:8080/a",
    "http://127.1/",
    "http://[::1]:8080/",
    "https://a.example/",
  ])("but not with %s", (issuer) => {
    expect(() =>
      createVerifier({ issuers: [{ issuer }], audience, clock: new MovableClock() }),
    ).not.toThrow();
  });
});

function retryAfterMs(error: Awaited<ReturnType<typeof failureOf>>): number | undefined {
  return error?.retryAfterMs;
}
