import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader } from "jose";
import { describe, expect, test } from "vitest";
import { openLocalIssuer } from "../../src/auth/local-issuer.ts";
import { mayAnywhere, mayIn } from "../../src/auth/principal.ts";
import { createVerifier } from "../../src/auth/verifier.ts";
import { readOrMakePrivateFile } from "../../src/lib/private-file.ts";
import { audience } from "../support/auth/tokens.ts";
import { outcome } from "../support/auth/verifier.ts";
import { MovableClock } from "../support/clock.ts";
import { temporaryFolder } from "../support/folder.ts";

const token = { subject: "service", audience, permissions: ["user.write"], ttlMs: 3_600_000 } as const;

describe("the key pair", () => {
  test("is created on first use, readable by its owner only", async () => {
    const dataDir = join(temporaryFolder(), "new", "data");
    await openLocalIssuer(dataDir);
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
    expect(statSync(join(dataDir, "local-issuer.json")).mode & 0o777).toBe(0o600);
    expect(readdirSync(dataDir)).toEqual(["local-issuer.json"]);
  });

  test("is the same when opened again", async () => {
    const dataDir = temporaryFolder();
    const first = await openLocalIssuer(dataDir);
    const second = await openLocalIssuer(dataDir);
    expect(second.jwks).toEqual(first.jwks);
  });

  test("differs between folders", async () => {
    const [a, b] = await Promise.all([
      openLocalIssuer(temporaryFolder()),
      openLocalIssuer(temporaryFolder()),
    ]);
    expect(a.jwks).not.toEqual(b.jwks);
  });

  test("is the same for two processes that create it at the same time", async () => {
    const path = join(temporaryFolder(), "local-issuer.json");
    let winner: ReturnType<typeof openLocalIssuer> | undefined;
    // The slower process: the file appears while it generates its own key.
    const text = readOrMakePrivateFile(path, () => {
      winner = openLocalIssuer(dirname(path));
      return "{}";
    });
    expect(JSON.parse(text)).toMatchObject({ x: (await winner)?.jwks.keys[0]?.x });
    expect(readFileSync(path, "utf8")).toBe(text);
  });

  test("is published without its private part, with its thumbprint as kid (RFC 7638)", async () => {
    const { jwks } = await openLocalIssuer(temporaryFolder());
    const [key] = jwks.keys;
    expect(Object.keys(key ?? {}).sort()).toEqual(["alg", "crv", "kid", "kty", "use", "x", "y"]);
    expect(key?.kid).toBe(await calculateJwkThumbprint(key ?? {}));
    expect(jwks.keys).toHaveLength(1);
  });

  test.runIf(process.platform !== "win32").each([0o640, 0o604, 0o660, 0o644, 0o620, 0o602])(
    "is refused if the file has mode %o",
    async (mode) => {
      const dataDir = temporaryFolder();
      await openLocalIssuer(dataDir);
      const path = join(dataDir, "local-issuer.json");
      chmodSync(path, mode);
      await expect(openLocalIssuer(dataDir)).rejects.toThrow(/local-issuer\.json .*chmod 600/);
    },
  );

  test.each([
    ["an empty file", ""],
    ["text", "secret-d"],
    ["truncated JSON", '{"kty":"EC","crv":"P-256","d":"secret-d'],
    ["JSON that is not an object", '["secret-d"]'],
    ["a public key", '{"kty":"EC","crv":"P-256","x":"secret-d","y":"secret-d"}'],
    ["a key of another type", '{"kty":"OKP","crv":"Ed25519","x":"secret-d","y":"","d":"secret-d"}'],
    [
      "a point that is not on the curve",
      '{"kty":"EC","crv":"P-256","x":"secret-d","y":"secret-d","d":"secret-d"}',
    ],
  ])("is refused without quoting it if the file is damaged: %s", async (_, content) => {
    const dataDir = temporaryFolder();
    const path = join(dataDir, "local-issuer.json");
    writeFileSync(path, content, { mode: 0o600 });
    const error = await openLocalIssuer(dataDir).then(
      () => undefined,
      (reason: Error) => reason,
    );
    expect(error?.message).toMatch(/local-issuer\.json is not the key pair .* remove it/);
    expect(error?.cause).toBeUndefined();
    expect(readFileSync(path, "utf8")).toBe(content);
  });

  test("does not replace a folder with its name", async () => {
    const dataDir = temporaryFolder();
    mkdirSync(join(dataDir, "local-issuer.json"), { mode: 0o700 });
    await expect(openLocalIssuer(dataDir)).rejects.toThrow();
  });

  test("is created again after the file was removed", async () => {
    const dataDir = temporaryFolder();
    const before = await openLocalIssuer(dataDir);
    rmSync(join(dataDir, "local-issuer.json"));
    const after = await openLocalIssuer(dataDir);
    expect(after.jwks).not.toEqual(before.jwks);
  });
});

describe("a token", () => {
  test("is a JWT access token (RFC 9068)", async () => {
    const clock = new MovableClock();
    const issuer = await openLocalIssuer(temporaryFolder());
    const jwt = await issuer.issue({ ...token, org: "org-1" }, clock);
    const iat = Math.floor(clock.now() / 1000);
    expect(decodeProtectedHeader(jwt)).toEqual({
      alg: "ES256",
      typ: "at+jwt",
      kid: issuer.jwks.keys[0]?.kid,
    });
    expect(decodeJwt(jwt)).toEqual({
      iss: "urn:countersign:local",
      sub: "service",
      aud: audience,
      client_id: "countersign-cli",
      iat,
      exp: iat + 3600,
      jti: expect.stringMatching(/^[0-9a-f-]{36}$/),
      "urn:zitadel:iam:org:project:roles": { "user.write": { "org-1": "org-1" } },
    });
  });

  test("has its permissions only in its organization", async () => {
    const { issuer, verifier, clock } = await setup();
    const principal = await verifier.authenticate(await issuer.issue({ ...token, org: "org-1" }, clock));
    expect(principal).toMatchObject({ subject: "service", issuer: "urn:countersign:local" });
    expect(mayIn(principal, "user.write", "org-1")).toBe(true);
    expect(mayIn(principal, "user.write", "org-2")).toBe(false);
    expect(mayAnywhere(principal, "user.read")).toBe(false);
  });

  test("keeps its permissions if another roles claim is configured", async () => {
    const { issuer, clock } = await setup();
    const verifier = createVerifier({ issuers: [issuer], audience, rolesClaim: "my:roles", clock });
    const principal = await verifier.authenticate(await issuer.issue({ ...token, org: "org-1" }, clock));
    expect(mayIn(principal, "user.write", "org-1")).toBe(true);
  });

  test("without an organization has its permissions in all of them", async () => {
    const { issuer, verifier, clock } = await setup();
    const permissions = ["user.read", "otp.challenge"] as const;
    const principal = await verifier.authenticate(await issuer.issue({ ...token, permissions }, clock));
    expect(mayIn(principal, "user.read", "any")).toBe(true);
    expect(mayIn(principal, "otp.challenge", "any")).toBe(true);
    expect(mayAnywhere(principal, "user.write")).toBe(false);
  });

  test("can have no permissions, for a user", async () => {
    const { issuer, verifier, clock } = await setup();
    const jwt = await issuer.issue({ ...token, subject: "user-1", permissions: [] }, clock);
    const principal = await verifier.authenticate(jwt);
    expect(principal.subject).toBe("user-1");
    expect(principal.grants.size).toBe(0);
  });

  test("expires after its TTL and the leeway", async () => {
    const { issuer, verifier, clock } = await setup();
    const jwt = await issuer.issue(token, clock);
    clock.move(token.ttlMs + 29_000);
    expect(await outcome(verifier.authenticate(jwt))).toBe("ok");
    clock.move(1_000);
    expect(await outcome(verifier.authenticate(jwt))).toBe("TOKEN_EXPIRED");
  });

  test("has a unique id", async () => {
    const { issuer, clock } = await setup();
    const jwts = await Promise.all(Array.from({ length: 50 }, () => issuer.issue(token, clock)));
    expect(new Set(jwts.map((jwt) => decodeJwt(jwt).jti)).size).toBe(50);
  });

  test("of the issuer of another folder is refused", async () => {
    const { verifier, clock } = await setup();
    const other = await openLocalIssuer(temporaryFolder());
    expect(await outcome(verifier.authenticate(await other.issue(token, clock)))).toBe("TOKEN_INVALID");
  });

  test.each([
    ["an empty subject", { ...token, subject: "" }],
    ["a subject of 201 characters", { ...token, subject: "s".repeat(201) }],
    ["a control character in the subject", { ...token, subject: "a\u0000b" }],
    ["a TTL of zero", { ...token, ttlMs: 0 }],
    ["a negative TTL", { ...token, ttlMs: -3_600_000 }],
    ["a TTL that is not a number", { ...token, ttlMs: Number.NaN }],
    ["an infinite TTL", { ...token, ttlMs: Number.POSITIVE_INFINITY }],
  ])("is not issued with %s", async (_, wrong) => {
    const { issuer, clock } = await setup();
    await expect(issuer.issue(wrong, clock)).rejects.toThrow();
  });
});

async function setup() {
  const clock = new MovableClock();
  const issuer = await openLocalIssuer(temporaryFolder());
  return { clock, issuer, verifier: createVerifier({ issuers: [issuer], audience, clock }) };
}
