import {
  createCipheriv,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  randomBytes,
} from "node:crypto";
import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { mayIn } from "../../src/auth/principal.ts";
import { createVerifier } from "../../src/auth/verifier.ts";
import { json, startIssuer, startServer } from "../support/auth/issuer-server.ts";
import { audience, encode, goodClaims, makeKey, signToken, type TestKey } from "../support/auth/tokens.ts";
import { outcome, refusalOf, startVerifier } from "../support/auth/verifier.ts";
import { MovableClock } from "../support/clock.ts";

const names = ["ES256", "RS256", "PS256", "EdDSA", "ES384"] as const;
let keys: Record<(typeof names)[number] | "attacker" | "weak" | "leaked", TestKey>;

beforeAll(async () => {
  const [es256, rs256, ps256, eddsa, es384, attacker, leaked] = await Promise.all([
    ...names.map((name) => makeKey(name, `key-${name}`)),
    makeKey("ES256", "key-ES256"),
    makeKey("ES256", "key-leaked"),
  ]);
  if (!es256 || !rs256 || !ps256 || !eddsa || !es384 || !attacker || !leaked)
    throw new Error("a key is missing");
  leaked.jwk.d = leaked.privateKey.export({ format: "jwk" }).d ?? "";
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const weakJwk = { ...publicKey.export({ format: "jwk" }), alg: "RS256", kid: "key-weak" };
  const weak = { alg: "RS256", privateKey, jwk: { kty: "RSA", ...weakJwk } };
  keys = { ES256: es256, RS256: rs256, PS256: ps256, EdDSA: eddsa, ES384: es384, attacker, weak, leaked };
});

async function setup(options?: { cacheEntriesMax?: number }) {
  const { ES256, RS256, PS256, EdDSA, ES384, weak, leaked } = keys;
  const started = await startVerifier([ES256, RS256, PS256, EdDSA, ES384, weak, leaked], options);
  const { claims } = started;
  return { ...started, nowS: claims.iat, good: signToken(ES256, claims) };
}
type Setup = Awaited<ReturnType<typeof setup>>;
type Row = [name: string, token: (given: Setup) => string, why?: RegExp];

describe("a valid token", () => {
  test.each<Row>([
    ["ES256", ({ claims }) => signToken(keys.ES256, claims)],
    ["RS256", ({ claims }) => signToken(keys.RS256, claims)],
    ["PS256", ({ claims }) => signToken(keys.PS256, claims)],
    ["EdDSA", ({ claims }) => signToken(keys.EdDSA, claims)],
    [
      "an array of audiences",
      ({ claims }) => signToken(keys.ES256, { ...claims, aud: ["a", audience, "b"] }),
    ],
    ["typ AT+Jwt", ({ claims }) => signToken(keys.ES256, claims, { typ: "AT+Jwt" })],
    ["typ application/at+jwt", ({ claims }) => signToken(keys.ES256, claims, { typ: "application/at+jwt" })],
    ["typ Application/AT+JWT", ({ claims }) => signToken(keys.ES256, claims, { typ: "Application/AT+JWT" })],
    ["no kid if only one key matches", ({ claims }) => signToken(keys.EdDSA, claims, { kid: undefined })],
    ["nbf equal to now", ({ claims, nowS }) => signToken(keys.ES256, { ...claims, nbf: nowS })],
    ["nbf within the leeway", ({ claims, nowS }) => signToken(keys.ES256, { ...claims, nbf: nowS + 30 })],
    ["exp within the leeway", ({ claims, nowS }) => signToken(keys.ES256, { ...claims, exp: nowS - 29 })],
    ["fractional times", ({ claims, nowS }) => signToken(keys.ES256, { ...claims, exp: nowS + 0.5 })],
    [
      "a subject of 200 characters",
      ({ claims }) => signToken(keys.ES256, { ...claims, sub: "😀".repeat(200) }),
    ],
    ["whitespace in the JSON", ({ claims }) => signToken(keys.ES256, JSON.stringify(claims, null, 3))],
    [
      "equal names in different objects and in strings",
      ({ claims }) =>
        signToken(keys.ES256, {
          ...claims,
          a: { sub: 1, a: { a: 1 } },
          b: [{ sub: 1 }, { sub: 2 }],
          c: '{"sub":1,"sub":2}',
          'sub":': 1,
          d: ['"', "\\", "sub", "sub"],
        }),
    ],
    ["malformed permissions", ({ claims }) => signToken(keys.ES256, { ...claims, scope: [1] })],
  ])("is accepted with %s", async (_, token) => {
    const given = await setup();
    expect(await outcome(given.verifier.authenticate(token(given)))).toBe("ok");
  });

  test("yields its subject, issuer and permissions", async () => {
    const { verifier, claims, server } = await setup();
    const roles = { "user.write": { "org-1": "org-1.example" } };
    const token = signToken(keys.ES256, { ...claims, "urn:zitadel:iam:org:project:roles": roles });
    const principal = await verifier.authenticate(token);
    expect(principal.subject).toBe("claim-subject");
    expect(principal.issuer).toBe(server.origin);
    expect(mayIn(principal, "user.read", "any")).toBe(true);
    expect(mayIn(principal, "user.write", "org-1")).toBe(true);
    expect(mayIn(principal, "user.write", "org-2")).toBe(false);
  });

  test("is read with the roles claim of its issuer, or the one of all issuers", async () => {
    const clock = new MovableClock();
    const jwks = { keys: [keys.ES256.jwk] };
    const issuers = [
      { issuer: "urn:a", jwks },
      { issuer: "urn:b", jwks, rolesClaim: "b:roles" },
    ];
    const verifier = createVerifier({ issuers, audience, clock, rolesClaim: "all:roles" });
    const roles = { "all:roles": { "user.write": { all: 1 } }, "b:roles": { "user.write": { b: 1 } } };
    const a = await verifier.authenticate(signToken(keys.ES256, { ...goodClaims("urn:a", clock), ...roles }));
    const b = await verifier.authenticate(signToken(keys.ES256, { ...goodClaims("urn:b", clock), ...roles }));
    expect(a.grants.get("user.write")).toEqual(new Set(["all"]));
    expect(b.grants.get("user.write")).toEqual(new Set(["b"]));
  });
});

describe("an invalid token", () => {
  const signature = /signature does not match/;
  const format = /not a JWT in compact form/;
  const json = /not a JSON object/;
  const twice = /occurs twice/;
  const algorithm = /"alg" header/;
  const noKey = /none of the keys/;
  const wrong = (claim: string) => new RegExp(`"${claim}" claim is wrong`);
  const withClaims = (more: Record<string, unknown>) => (given: Setup) =>
    signToken(keys.ES256, { ...given.claims, ...more });
  const withHeader = (header: Record<string, unknown>) => (given: Setup) =>
    signToken(keys.ES256, given.claims, header);
  const withSignature = (change: (signature: Buffer) => Buffer) => (given: Setup) => {
    const [header, payload, signed = ""] = given.good.split(".");
    return `${header}.${payload}.${encode(change(Buffer.from(signed, "base64url")))}`;
  };
  const withText = (change: (text: string) => string) => (given: Setup) =>
    signToken(keys.ES256, change(JSON.stringify(given.claims)));
  const addMember = (member: string) => withText((text) => `${text.slice(0, -1)},${member}}`);

  test.each<Row>([
    // The algorithm (RFC 8725 §3.1)
    ...["none", "None", "NONE", "nOnE", ""].map(
      (alg): Row => [`alg "${alg}" unsigned`, ({ claims }) => unsigned(claims, alg), /alg|compact/],
    ),
    ["alg none with a signature", ({ claims }) => signToken(keys.ES256, claims, { alg: "none" }), algorithm],
    ["no alg", withHeader({ alg: undefined }), algorithm],
    ["an array as alg", withHeader({ alg: ["ES256"] }), algorithm],
    ["alg __proto__", withHeader({ alg: "__proto__" }), algorithm],
    ["alg ES384, although its key is published", ({ claims }) => signToken(keys.ES384, claims), algorithm],
    ["HS256 keyed with the RSA public PEM", ({ claims }) => hs256(claims, pem(keys.RS256)), algorithm],
    ["HS256 keyed with the EC public PEM", ({ claims }) => hs256(claims, pem(keys.ES256)), algorithm],
    ["HS256 keyed with the JWK", ({ claims }) => hs256(claims, JSON.stringify(keys.RS256.jwk)), algorithm],
    ["HS256 with an empty key", ({ claims }) => hs256(claims, ""), algorithm],
    ["RS256 with a PS256 key", ({ claims }) => signToken({ ...keys.PS256, alg: "RS256" }, claims), noKey],
    [
      "RS256 with the kid of an EC key",
      ({ claims }) => signToken(keys.RS256, claims, { kid: "key-ES256" }),
      noKey,
    ],
    ["ES256 with the kid of an RSA key", withHeader({ kid: "key-RS256" }), noKey],
    ["an RSA key of 1024 bits", ({ claims }) => signToken(keys.weak, claims), signature],
    ["a key whose private part is published", ({ claims }) => signToken(keys.leaked, claims), signature],
    // The signature
    ["ES256 with r and s zero", withSignature(() => Buffer.alloc(64)), signature],
    [
      "ES256 with r and s equal to the curve order",
      withSignature(() => Buffer.concat([order, order])),
      signature,
    ],
    ["ES256 with r and s all ones", withSignature(() => Buffer.alloc(64, 255)), signature],
    [
      "ES256 with r and s swapped",
      withSignature((s) => Buffer.concat([s.subarray(32), s.subarray(0, 32)])),
      signature,
    ],
    ["ES256 in DER", withSignature((s) => derOf(s)), signature],
    ["a signature that is a byte short", withSignature((s) => s.subarray(0, -1)), signature],
    ["a signature with an extra byte", withSignature((s) => Buffer.concat([s, Buffer.alloc(1)])), signature],
    ["no signature", ({ good }) => good.slice(0, good.lastIndexOf(".") + 1), format],
    ["no signature and no dot", ({ good }) => good.slice(0, good.lastIndexOf(".")), format],
    ["a padded signature", ({ good }) => `${good}==`, format],
    ["one padding character", ({ good }) => `${good}=`, format],
    ["a signature with other unused bits", ({ good }) => withOtherSpareBits(good), format],
    ["a trailing space", ({ good }) => `${good} `, format],
    ["a line break in the middle", ({ good }) => `${good.slice(0, -4)}\n${good.slice(-4)}`, format],
    ["base64 instead of base64url", ({ good }) => `${good.slice(0, -2)}+/`, format],
    ["an attacker's key with a known kid", ({ claims }) => signToken(keys.attacker, claims), signature],
    [
      "an attacker's key without a kid",
      ({ claims }) => signToken(keys.attacker, claims, { kid: undefined }),
      signature,
    ],
    [
      "the claims of one token with the signature of another",
      ({ claims, good }) => {
        const other = signToken(keys.ES256, { ...claims, sub: "claim-admin" });
        return `${other.slice(0, other.lastIndexOf("."))}${good.slice(good.lastIndexOf("."))}`;
      },
      signature,
    ],
    // The header
    ["typ JWT", withHeader({ typ: "JWT" }), /"typ" header/],
    ["no typ, like an ID token", withHeader({ typ: undefined }), /"typ" header/],
    ["typ logout+jwt", withHeader({ typ: "logout+jwt" }), /"typ" header/],
    ["typ at+jwt with a trailing space", withHeader({ typ: "at+jwt " }), /"typ" header/],
    ["typ text/at+jwt", withHeader({ typ: "text/at+jwt" }), /"typ" header/],
    ["an array as typ", withHeader({ typ: ["at+jwt"] }), /"typ" header/],
    ["crit with an unknown name", withHeader({ crit: ["x"], x: 1 }), /"crit" header/],
    ["crit with b64", withHeader({ crit: ["b64"], b64: true }), /"crit" header/],
    ["crit with exp", withHeader({ crit: ["exp"] }), /"crit" header/],
    ["an empty crit", withHeader({ crit: [] }), /"crit" header/],
    ["crit null", withHeader({ crit: null }), /"crit" header/],
    ["a kid that is a path", withHeader({ kid: "../../dev/null" }), noKey],
    ["a kid that is SQL", withHeader({ kid: "' OR 1" }), noKey],
    ["a kid that is a URL", withHeader({ kid: "http://127.0.0.1:1/keys" }), noKey],
    ["an empty kid", withHeader({ kid: "" }), noKey],
    ["a kid in another case", withHeader({ kid: "KEY-es256" }), noKey],
    ["a kid that is a number", withHeader({ kid: 1 }), /"kid" header/],
    ["a kid that is an array", withHeader({ kid: ["key-ES256"] }), /"kid" header/],
    ["a kid that is null", withHeader({ kid: null }), /"kid" header/],
    ["a header that is an array", ({ claims }) => signToken(keys.ES256, claims, "[]"), json],
    ["a header that is not JSON", ({ claims }) => signToken(keys.ES256, claims, "{alg:ES256}"), json],
    // The claims
    ["another audience", withClaims({ aud: "other.example" }), wrong("aud")],
    ["an array of other audiences", withClaims({ aud: ["other.example", "more.example"] }), wrong("aud")],
    ["an audience that is a pattern", withClaims({ aud: "^.*$" }), wrong("aud")],
    ["an array of patterns", withClaims({ aud: ["^.*$", "*", ".*"] }), wrong("aud")],
    ["an audience that starts with ours", withClaims({ aud: `${audience}.evil` }), wrong("aud")],
    ["a prefix of our audience", withClaims({ aud: audience.slice(0, -1) }), wrong("aud")],
    ["the audience in another case", withClaims({ aud: audience.toUpperCase() }), wrong("aud")],
    ["space-separated audiences", withClaims({ aud: `a ${audience}` }), wrong("aud")],
    ["an empty array of audiences", withClaims({ aud: [] }), wrong("aud")],
    ["a nested array of audiences", withClaims({ aud: [[audience]] }), wrong("aud")],
    ["an array with an audience that is not a string", withClaims({ aud: [audience, 1] }), wrong("aud")],
    ["an audience that is an object", withClaims({ aud: { [audience]: audience } }), wrong("aud")],
    ["an audience that is null", withClaims({ aud: null }), wrong("aud")],
    ["another issuer", withClaims({ iss: "https://evil.example" }), wrong("iss")],
    [
      "the issuer with a trailing slash",
      (given) => withClaims({ iss: `${given.claims.iss}/` })(given),
      wrong("iss"),
    ],
    [
      "the issuer in another case",
      (given) => withClaims({ iss: given.claims.iss.replace("http", "HTTP") })(given),
      wrong("iss"),
    ],
    ["an array of issuers", (given) => withClaims({ iss: [given.claims.iss] })(given), wrong("iss")],
    ["issuer __proto__", withClaims({ iss: "__proto__" }), wrong("iss")],
    ["an issuer that is null", withClaims({ iss: null }), wrong("iss")],
    ["nbf in an hour", (given) => withClaims({ nbf: given.nowS + 3600 })(given), /not valid yet/],
    ["nbf beyond the leeway", (given) => withClaims({ nbf: given.nowS + 31 })(given), /not valid yet/],
    ["nbf as a string", withClaims({ nbf: "0" }), /"nbf" claim/],
    ["nbf null", withClaims({ nbf: null }), /"nbf" claim/],
    ["exp as a string", (given) => withClaims({ exp: String(given.claims.exp) })(given), wrong("exp")],
    ["exp null", withClaims({ exp: null }), wrong("exp")],
    ["an infinite exp", withText((text) => text.replace(/"exp":\d+/, '"exp":1e999')), wrong("exp")],
    ["iat as a string", withClaims({ iat: "1" }), wrong("iat")],
    ["an infinite iat", withText((text) => text.replace(/"iat":\d+/, '"iat":-1e999')), wrong("iat")],
    ["an empty subject", withClaims({ sub: "" }), wrong("sub")],
    ["a subject of 201 characters", withClaims({ sub: "s".repeat(201) }), wrong("sub")],
    ["a subject that is a number", withClaims({ sub: 1 }), wrong("sub")],
    ["a subject that is an array", withClaims({ sub: ["claim-subject"] }), wrong("sub")],
    ["a NUL in the subject", withClaims({ sub: "claim\u0000subject" }), wrong("sub")],
    ["a line break in the subject", withClaims({ sub: "claim\r\nsubject" }), wrong("sub")],
    ["a lone surrogate in the subject", withClaims({ sub: "claim\ud800" }), wrong("sub")],
    ["an empty client_id", withClaims({ client_id: "" }), wrong("client_id")],
    ["a client_id that is a number", withClaims({ client_id: 1 }), wrong("client_id")],
    ["a client_id that is null", withClaims({ client_id: null }), wrong("client_id")],
    ["an empty jti", withClaims({ jti: "" }), wrong("jti")],
    ["a jti that is a number", withClaims({ jti: 1 }), wrong("jti")],
    // Duplicate names (RFC 7519 §4)
    ["two equal subjects", addMember('"sub":"claim-subject"'), twice],
    ["two subjects", addMember('"sub":"claim-admin"'), twice],
    ["two subjects, one escaped", addMember('"\\u0073ub":"claim-admin"'), twice],
    ["two subjects, one followed by whitespace", addMember('"sub" \n : "claim-admin"'), twice],
    ["two issuers", addMember('"iss":"https://evil.example"'), twice],
    ["two __proto__", addMember('"__proto__":1,"__proto__":2'), twice],
    ["two empty names", addMember('"":1,"":2'), twice],
    ["two equal roles", addMember('"roles":{"user.read":{"a":1},"user.read":{"b":1}}'), twice],
    ["two equal names within an array", addMember('"list":[{"a":1},[{"b":[],"b":{}}]]'), twice],
    ["two equal names after a string with quotes", addMember('"a":"\\"{\\\\","b":"}","a":1'), twice],
    [
      "two algs",
      ({ claims }) => signToken(keys.ES256, claims, twoOf('"alg":"none"', '"alg":"ES256"')),
      twice,
    ],
    [
      "two kids",
      ({ claims }) => signToken(keys.ES256, claims, twoOf('"kid":"a"', '"kid":"key-ES256"')),
      twice,
    ],
    // The format
    ["an empty string", () => "", format],
    ["two dots", () => "..", format],
    ["a word", () => "token", format],
    ["four parts", ({ good }) => `${good}.x`, format],
    [
      "a JWS in JSON",
      ({ good }) => {
        const [header, payload, signed] = good.split(".");
        return JSON.stringify({ protected: header, payload, signature: signed });
      },
      format,
    ],
    ["claims that are an array", () => signToken(keys.ES256, "[]"), json],
    ["claims that are null", () => signToken(keys.ES256, "null"), json],
    ["claims that are a string", () => signToken(keys.ES256, '"claim-subject"'), json],
    ["truncated claims", withText((text) => text.slice(0, -1)), json],
    ["claims that are not UTF-8", () => signToken(keys.ES256, Buffer.from([0x7b, 0xff, 0x7d])), json],
    [
      "compressed claims",
      ({ claims }) => signToken(keys.ES256, deflateRawSync(JSON.stringify(claims))),
      json,
    ],
    [
      "a deeply nested audience",
      withText((text) => text.replace(/"aud":"[^"]*"/, `"aud":${deep}`)),
      wrong("aud"),
    ],
    ["1 MiB", () => "a".repeat(1024 * 1024), /longer than 16384/],
    ["1 MiB of dots", () => ".".repeat(1024 * 1024), /longer than 16384/],
    ["a valid token longer than 16 KiB", withClaims({ padding: "x".repeat(12_000) }), /longer than 16384/],
    ["a JWE", ({ claims }) => jwe(JSON.stringify(claims)), /JWE/],
    ["a JWE that inflates to 10 MB", () => jwe(Buffer.alloc(10_000_000, 32), { zip: "DEF" }), /JWE/],
  ])("is refused: %s", async (_, make, why = signature) => {
    const given = await setup();
    const token = make(given);
    expect(await outcome(given.verifier.authenticate(token), token)).toBe("TOKEN_INVALID");
    expect((await refusalOf(given.verifier.authenticate(token)))?.message).toMatch(why);
  });

  // RFC 9068 §2.2
  const required = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"];
  test.each(required)("is refused without the claim %s", async (name) => {
    const { verifier, claims } = await setup();
    const token = signToken(keys.ES256, { ...claims, [name]: undefined });
    expect(await outcome(verifier.authenticate(token), token)).toBe("TOKEN_INVALID");
    expect((await refusalOf(verifier.authenticate(token)))?.message).toContain(`"${name}" claim is missing`);
  });
});

describe("an expired token", () => {
  test.each([30, 31, 3600, 10 * 365 * 86_400])("is TOKEN_EXPIRED %d seconds later", async (seconds) => {
    const { verifier, claims, nowS } = await setup();
    const token = signToken(keys.ES256, { ...claims, exp: nowS - seconds });
    expect(await outcome(verifier.authenticate(token), token)).toBe("TOKEN_EXPIRED");
  });

  test.each<Row>([
    ["its signature is wrong", ({ claims }) => signToken(keys.attacker, { ...claims, exp: 1 })],
    ["it has another issuer", ({ claims }) => signToken(keys.ES256, { ...claims, exp: 1, iss: "urn:other" })],
    ["it has another audience", ({ claims }) => signToken(keys.ES256, { ...claims, exp: 1, aud: "other" })],
  ])("is TOKEN_INVALID if %s", async (_, token) => {
    const given = await setup();
    expect(await outcome(given.verifier.authenticate(token(given)))).toBe("TOKEN_INVALID");
  });
});

describe("a verifier makes no request", () => {
  test.each([
    ["jwk", () => ({ jwk: keys.attacker.jwk })],
    ["jku", (origin: string) => ({ jku: `${origin}/keys` })],
    ["x5u", (origin: string) => ({ x5u: `${origin}/keys` })],
    ["x5c", () => ({ x5c: [Buffer.from("certificate").toString("base64")] })],
    ["kid", (origin: string) => ({ kid: `${origin}/keys` })],
    [
      "several of them",
      (origin: string) => ({ jwk: keys.attacker.jwk, jku: `${origin}/keys`, x5u: `${origin}/keys` }),
    ],
  ])("for a key or URL in the header %s, and does not use it", async (_, header) => {
    const { verifier, claims, server } = await setup();
    const evil = await startServer();
    evil.answers.set("/keys", json({ keys: [keys.attacker.jwk] }));
    const forged = signToken(keys.attacker, claims, header(evil.origin));
    const genuine = signToken(keys.ES256, claims, { ...header(evil.origin), kid: "key-ES256" });
    expect(await outcome(verifier.authenticate(forged), forged)).toBe("TOKEN_INVALID");
    expect(await outcome(verifier.authenticate(genuine), genuine)).toBe("ok");
    expect(evil.asked).toEqual([]);
    expect(server.asked).toEqual(["/keys"]);
  });

  test("for a token of an unknown issuer", async () => {
    const { verifier, claims, server } = await setup();
    const evil = await startServer();
    for (const iss of [
      evil.origin,
      `${evil.origin}/`,
      `${server.origin}/`,
      `${server.origin}#`,
      "file:///etc/passwd",
    ]) {
      expect(await outcome(verifier.authenticate(signToken(keys.attacker, { ...claims, iss })))).toBe(
        "TOKEN_INVALID",
      );
    }
    expect(evil.asked).toEqual([]);
    expect(server.asked).toEqual([]);
  });

  test("for a token that can be refused without a key", async () => {
    const { verifier, claims, server, good } = await setup();
    for (const token of ["", `${good}=`, unsigned(claims, "none"), hs256(claims, ""), jwe("{}")]) {
      expect(await outcome(verifier.authenticate(token), token)).toBe("TOKEN_INVALID");
    }
    expect(server.asked).toEqual([]);
  });
});

describe("createVerifier", () => {
  const jwks = { keys: [] };
  test.each([
    ["an issuer without keys that is not a URL", [{ issuer: "issuer" }]],
    ["http to another host", [{ issuer: "http://issuer.example" }]],
    ["keys over http from another host", [{ issuer: "urn:a", jwksUri: "http://issuer.example/keys" }]],
    ["keys in a file", [{ issuer: "urn:a", jwksUri: "file:///keys" }]],
    ["credentials in the URL", [{ issuer: "urn:a", jwksUri: "https://a:b@issuer.example/keys" }]],
    ["an empty issuer", [{ issuer: "", jwks }]],
    [
      "a duplicate issuer",
      [
        { issuer: "urn:a", jwks },
        { issuer: "urn:a", jwksUri: "https://issuer.example/keys" },
      ],
    ],
    ["an invalid JWKS", [{ issuer: "urn:a", jwks: JSON.parse('{"keys":1}') }]],
  ])("refuses %s", (_, issuers) => {
    expect(() => createVerifier({ issuers, audience, clock: new MovableClock() })).toThrow();
  });

  test("refuses an empty audience", () => {
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
  ])("accepts the issuer %s", (issuer) => {
    expect(() =>
      createVerifier({ issuers: [{ issuer }], audience, clock: new MovableClock() }),
    ).not.toThrow();
  });
});

describe("several issuers", () => {
  test("have separate keys, even with the same kid", async () => {
    const clock = new MovableClock();
    const [a, b] = [await startIssuer(keys.ES256), await startIssuer(keys.attacker)];
    const verifier = createVerifier({ issuers: [a.config, b.config], audience, clock });
    const [ofA, ofB] = [goodClaims(a.origin, clock), goodClaims(b.origin, clock)];
    expect((await verifier.authenticate(signToken(keys.ES256, ofA))).issuer).toBe(a.origin);
    expect((await verifier.authenticate(signToken(keys.attacker, ofB))).issuer).toBe(b.origin);
    expect(await outcome(verifier.authenticate(signToken(keys.ES256, ofB)))).toBe("TOKEN_INVALID");
    expect(await outcome(verifier.authenticate(signToken(keys.attacker, ofA)))).toBe("TOKEN_INVALID");
  });
});

describe("a token that was changed", () => {
  test("is refused when cut at any length or extended, also if the original is cached", async () => {
    const { verifier, good } = await setup();
    expect(await outcome(verifier.authenticate(good))).toBe("ok");
    for (let n = 1; n <= good.length; n++) {
      expect(await outcome(verifier.authenticate(good.slice(0, -n)))).toBe("TOKEN_INVALID");
      expect(await outcome(verifier.authenticate(good.slice(n)))).toBe("TOKEN_INVALID");
    }
    for (const more of "aZ09-._~+/= \t\n\0,;") {
      expect(await outcome(verifier.authenticate(good + more))).toBe("TOKEN_INVALID");
      expect(await outcome(verifier.authenticate(more + good))).toBe("TOKEN_INVALID");
    }
    expect(await outcome(verifier.authenticate(good))).toBe("ok");
  });

  test.each(["ES256", "RS256", "PS256", "EdDSA"] as const)(
    "is refused after random changes: %s",
    async (name) => {
      const { verifier, claims } = await setup();
      const token = signToken(keys[name], claims);
      expect(await outcome(verifier.authenticate(token))).toBe("ok");
      const position = fc.nat({ max: token.length });
      const some = fc.oneof(
        fc.string(),
        fc.base64String(),
        fc.string({ unit: fc.constantFrom(..."ab_-.=") }),
      );
      const changed = fc.oneof(
        position.map((at) => token.slice(0, at)),
        position.map((at) => token.slice(at)),
        fc.tuple(position, position).map(([from, to]) => token.slice(from, to)),
        some.map((more) => token + more),
        some.map((more) => more + token),
        fc.tuple(position, some).map(([at, more]) => token.slice(0, at) + more + token.slice(at)),
        fc.tuple(position, position).map(([from, to]) => token.slice(0, from) + token.slice(to)),
        fc
          .tuple(position, some)
          .map(([at, more]) => token.slice(0, at) + more + token.slice(at + more.length)),
      );
      await fc.assert(
        fc.asyncProperty(changed, async (other) => {
          fc.pre(other !== token);
          expect(await outcome(verifier.authenticate(other))).toBe("TOKEN_INVALID");
        }),
        { numRuns: 400 },
      );
    },
  );

  test("is refused with any bit of the signature flipped", async () => {
    const { verifier, good } = await setup();
    expect(await outcome(verifier.authenticate(good))).toBe("ok");
    const at = good.lastIndexOf(".") + 1;
    const bytes = Buffer.from(good.slice(at), "base64url");
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes);
      flipped.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(await outcome(verifier.authenticate(good.slice(0, at) + encode(flipped)))).toBe("TOKEN_INVALID");
    }
  });
});

describe("a verified token", () => {
  test("is cached", async () => {
    const { verifier, good } = await setup();
    const first = await verifier.authenticate(good);
    expect(await verifier.authenticate(good)).toBe(first);
  });

  test("does not share its entry with tokens that start alike", async () => {
    const { verifier, claims, good } = await setup();
    const principal = await verifier.authenticate(good);
    const resigned = signToken(keys.ES256, claims);
    const forged = `${good.slice(0, good.lastIndexOf("."))}.${signToken(keys.attacker, claims).split(".")[2]}`;
    expect(await verifier.authenticate(resigned)).not.toBe(principal);
    expect(await outcome(verifier.authenticate(forged), forged)).toBe("TOKEN_INVALID");
    const admin = await verifier.authenticate(signToken(keys.ES256, { ...claims, sub: "admin" }));
    expect(admin.subject).toBe("admin");
    expect((await verifier.authenticate(good)).subject).toBe("claim-subject");
  });

  test("is evicted when the cache is full", async () => {
    const { verifier, claims, good } = await setup({ cacheEntriesMax: 1 });
    const first = await verifier.authenticate(good);
    await verifier.authenticate(signToken(keys.ES256, { ...claims, sub: "other" }));
    const second = await verifier.authenticate(good);
    expect(second).not.toBe(first);
    expect(second).toEqual(first);
  });

  test("is verified again after 10 minutes", async () => {
    const { verifier, clock, good } = await setup();
    const first = await verifier.authenticate(good);
    clock.move(599_999);
    expect(await verifier.authenticate(good)).toBe(first);
    clock.move(1);
    expect(await verifier.authenticate(good)).not.toBe(first);
  });

  test("expires although it is cached", async () => {
    const { verifier, clock, claims, nowS } = await setup();
    const token = signToken(keys.ES256, { ...claims, exp: nowS + 60 });
    expect(await outcome(verifier.authenticate(token))).toBe("ok");
    clock.move(89_999);
    expect(await outcome(verifier.authenticate(token))).toBe("ok");
    clock.move(1);
    expect(await outcome(verifier.authenticate(token), token)).toBe("TOKEN_EXPIRED");
  });

  test("is refused before nbf although it is cached", async () => {
    const { verifier, clock, claims, nowS } = await setup();
    const token = signToken(keys.ES256, { ...claims, nbf: nowS });
    expect(await outcome(verifier.authenticate(token))).toBe("ok");
    clock.move(-31_000);
    expect(await outcome(verifier.authenticate(token), token)).toBe("TOKEN_INVALID");
    clock.move(31_000);
    expect(await outcome(verifier.authenticate(token))).toBe("ok");
  });

  test("may have been refused earlier: refusals are not cached", async () => {
    const { verifier, clock, claims, nowS } = await setup();
    const token = signToken(keys.ES256, { ...claims, nbf: nowS + 60 });
    expect(await outcome(verifier.authenticate(token), token)).toBe("TOKEN_INVALID");
    clock.move(30_000);
    expect(await outcome(verifier.authenticate(token))).toBe("ok");
  });

  test("gives the same subject to 50 concurrent calls", async () => {
    const { verifier, good } = await setup();
    const principals = await Promise.all(Array.from({ length: 50 }, () => verifier.authenticate(good)));
    expect(new Set(principals.map(({ subject }) => subject))).toEqual(new Set(["claim-subject"]));
  });

  test("yields a frozen principal", async () => {
    const { verifier, good } = await setup();
    expect(Object.isFrozen(await verifier.authenticate(good))).toBe(true);
  });
});

const deep = `${"[".repeat(5000)}${"]".repeat(5000)}`;

// The order of the curve P-256.
const order = Buffer.from("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", "hex");

function unsigned(claims: object, alg: string): string {
  return `${encode({ alg, typ: "at+jwt", kid: "key-ES256" })}.${encode({ ...claims })}.`;
}

function hs256(claims: object, secret: string): string {
  const input = `${encode({ alg: "HS256", typ: "at+jwt", kid: "key-RS256" })}.${encode({ ...claims })}`;
  return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
}

function pem({ jwk }: TestKey): string {
  return createPublicKey({ key: jwk as JsonWebKey, format: "jwk" })
    .export({ type: "spki", format: "pem" })
    .toString();
}

function twoOf(first: string, second: string): string {
  return `{${first},"typ":"at+jwt",${/kid/.test(first) ? '"alg":"ES256"' : '"kid":"key-ES256"'},${second}}`;
}

function derOf(signature: Buffer): Buffer {
  const integer = (bytes: Buffer) => {
    const value = bytes.readUInt8(0) > 127 ? Buffer.concat([Buffer.alloc(1), bytes]) : bytes;
    return Buffer.concat([Buffer.from([2, value.length]), value]);
  };
  const both = Buffer.concat([integer(signature.subarray(0, 32)), integer(signature.subarray(32))]);
  return Buffer.concat([Buffer.from([0x30, both.length]), both]);
}

/** 4 bits of the last character of a 64-byte signature are unused. */
function withOtherSpareBits(token: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const other = token.slice(0, -1) + alphabet[alphabet.indexOf(token.slice(-1)) ^ 1];
  expect(Buffer.from(other.slice(-86), "base64url")).toEqual(Buffer.from(token.slice(-86), "base64url"));
  return other;
}

function jwe(plaintext: string | Buffer, more: Record<string, unknown> = {}): string {
  const header = encode({ alg: "dir", enc: "A256GCM", typ: "at+jwt", ...more });
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", randomBytes(32), iv).setAAD(Buffer.from(header));
  const content = "zip" in more ? deflateRawSync(plaintext) : Buffer.from(plaintext);
  const text = Buffer.concat([cipher.update(content), cipher.final()]);
  return [header, "", encode(iv), encode(text), encode(cipher.getAuthTag())].join(".");
}
