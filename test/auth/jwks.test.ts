import { beforeAll, describe, expect, test } from "vitest";
import { createVerifier } from "../../src/auth/verifier.ts";
import { hourMs, minuteMs, secondMs } from "../../src/lib/time.ts";
import { startIssuer, startServer } from "../support/auth/issuer-server.ts";
import { audience, encode, goodClaims, makeKey, signToken, type TestKey } from "../support/auth/tokens.ts";
import { outcome, refusalOf, startVerifier } from "../support/auth/verifier.ts";
import { MovableClock } from "../support/clock.ts";

let oldKey: TestKey;
let newKey: TestKey;

beforeAll(async () => {
  [oldKey, newKey] = await Promise.all([makeKey("ES256", "old"), makeKey("ES256", "new")]);
});

describe("an issuer that is unavailable", () => {
  test("also affects tokens that were verified before", async () => {
    const { clock, server, verifier, token } = await startVerifier([oldKey]);
    const cached = token(oldKey);
    await verifier.authenticate(cached);
    server.answers.clear();
    clock.move(24 * hourMs);
    expect(await outcome(verifier.authenticate(cached), cached)).toBe("ISSUER_UNAVAILABLE");
  });

  test("is asked again when RetryInfo says so, and not earlier", async () => {
    const { clock, server, verifier, token, check } = await startVerifier([]);
    server.answers.clear();
    expect((await refusalOf(verifier.authenticate(token(oldKey))))?.retryAfterMs).toBe(5_000);
    clock.move(2 * secondMs);
    expect((await refusalOf(verifier.authenticate(token(oldKey))))?.retryAfterMs).toBe(3_000);
    expect(server.asked).toHaveLength(1);
    server.publish(oldKey);
    clock.move(3 * secondMs);
    expect(await check(oldKey)).toBe("ok");
    expect(server.asked).toHaveLength(2);
  });

  test("does not affect other issuers", async () => {
    const clock = new MovableClock();
    const [dead, live] = [await startServer(), await startIssuer(oldKey)];
    const verifier = createVerifier({
      issuers: [{ issuer: dead.origin, jwksUri: `${dead.origin}/keys` }, live.config],
      audience,
      clock,
    });
    const outcomeAt = ({ origin }: { origin: string }) =>
      outcome(verifier.authenticate(signToken(oldKey, goodClaims(origin, clock))));
    expect(await outcomeAt(dead)).toBe("ISSUER_UNAVAILABLE");
    expect(await outcomeAt(live)).toBe("ok");
  });

  test("may refuse connections", async () => {
    const clock = new MovableClock();
    // Port 1 of the loopback is closed.
    const issuer = "http://127.0.0.1:1";
    const verifier = createVerifier({ issuers: [{ issuer }], audience, clock });
    const token = signToken(oldKey, goodClaims(issuer, clock));
    expect(await outcome(verifier.authenticate(token), token)).toBe("ISSUER_UNAVAILABLE");
  });

  test("delays one call at most while the last keys will do", async () => {
    const { clock, server, check } = await startVerifier([oldKey]);
    expect(await check(oldKey)).toBe("ok");
    server.answers.set("/keys", () => {});
    clock.move(10 * minuteMs);
    const first = check(oldKey);
    await server.askedTimes(2);
    clock.move(5 * secondMs);
    expect(await first).toBe("ok");
    clock.move(25 * secondMs);
    // The third request hangs, and the clock stands still.
    expect(await check(oldKey)).toBe("ok");
    await server.askedTimes(3);
    expect(await check(oldKey)).toBe("ok");
    expect(server.asked).toHaveLength(3);
  });
});

describe("keys are fetched", () => {
  test("once for 50 concurrent first calls", async () => {
    const { server, check } = await startVerifier([oldKey]);
    const results = await Promise.all(Array.from({ length: 50 }, () => check(oldKey)));
    expect(new Set(results)).toEqual(new Set(["ok"]));
    expect(server.asked).toEqual(["/keys"]);
  });

  test("not before the first token", async () => {
    const { server } = await startVerifier([oldKey]);
    expect(server.asked).toEqual([]);
  });

  test("every 10 minutes while there are calls", async () => {
    const { clock, server, check } = await startVerifier([oldKey]);
    for (let i = 0; i < 60; i++) {
      expect(await check(oldKey)).toBe("ok");
      clock.move(minuteMs);
    }
    expect(server.asked).toHaveLength(6);
  });

  test("once in 30 seconds for 10,000 unknown keys", async () => {
    const { clock, server, check, token, verifier } = await startVerifier([oldKey]);
    expect(await check(oldKey)).toBe("ok");
    clock.move(30 * secondMs);
    const [, payload, signature] = token(oldKey).split(".");
    const flood = Array.from({ length: 10_000 }, (_, i) => {
      const header = encode({ alg: "ES256", typ: "at+jwt", kid: `random-${i}` });
      return outcome(verifier.authenticate(`${header}.${payload}.${signature}`));
    });
    expect(new Set(await Promise.all(flood))).toEqual(new Set(["TOKEN_INVALID"]));
    expect(server.asked).toHaveLength(2);
    clock.move(30 * secondMs - 1);
    expect(await check(newKey)).toBe("TOKEN_INVALID");
    expect(server.asked).toHaveLength(2);
    clock.move(1);
    expect(await check(newKey)).toBe("TOKEN_INVALID");
    expect(server.asked).toHaveLength(3);
  });

  test("once in 30 seconds for unknown keys while the issuer is unavailable", async () => {
    const { clock, server, check } = await startVerifier([oldKey]);
    expect(await check(oldKey)).toBe("ok");
    server.answers.clear();
    clock.move(30 * secondMs);
    for (let i = 0; i < 60; i++) {
      expect(await check(newKey)).toBe("TOKEN_INVALID");
      clock.move(secondMs);
    }
    expect(server.asked).toHaveLength(3);
  });

  test("again after the clock was set back", async () => {
    const { clock, server, check } = await startVerifier([oldKey]);
    expect(await check(oldKey)).toBe("ok");
    server.publish(newKey);
    clock.move(-20 * secondMs);
    expect(await check(newKey)).toBe("ok");
    expect(server.asked).toHaveLength(2);
  });

  test("and if they are unchanged, verified tokens stay cached", async () => {
    const { clock, server, verifier, token, check } = await startVerifier([oldKey]);
    const cached = token(oldKey);
    const principal = await verifier.authenticate(cached);
    clock.move(30 * secondMs);
    expect(await check(newKey)).toBe("TOKEN_INVALID");
    expect(server.asked).toHaveLength(2);
    expect(await verifier.authenticate(cached)).toBe(principal);
  });
});

describe("a new key", () => {
  test("is accepted after the next fetch", async () => {
    const { clock, server, check } = await startVerifier([oldKey]);
    expect(await check(oldKey)).toBe("ok");
    server.publish(oldKey, newKey);
    expect(await check(newKey)).toBe("TOKEN_INVALID");
    clock.move(30 * secondMs);
    expect(await check(newKey)).toBe("ok");
    expect(await check(oldKey)).toBe("ok");
    expect(server.asked).toHaveLength(2);
  });

  test("is accepted for all 50 calls that wait for one fetch", async () => {
    const { clock, server, check } = await startVerifier([oldKey]);
    expect(await check(oldKey)).toBe("ok");
    server.publish(newKey);
    clock.move(30 * secondMs);
    const results = await Promise.all(Array.from({ length: 50 }, () => check(newKey)));
    expect(new Set(results)).toEqual(new Set(["ok"]));
    expect(server.asked).toHaveLength(2);
  });

  test("is accepted for a token that was refused earlier", async () => {
    const { clock, server, verifier, check, token } = await startVerifier([oldKey]);
    expect(await check(oldKey)).toBe("ok");
    const early = token(newKey);
    expect(await outcome(verifier.authenticate(early), early)).toBe("TOKEN_INVALID");
    server.publish(newKey);
    clock.move(30 * secondMs);
    expect(await outcome(verifier.authenticate(early))).toBe("ok");
  });

  test("may have the kid of an old key of another type", async () => {
    const { clock, server, check } = await startVerifier([oldKey]);
    expect(await check(oldKey)).toBe("ok");
    const rsaKey = await makeKey("RS256", "old");
    server.publish(rsaKey);
    clock.move(30 * secondMs);
    expect(await check(rsaKey)).toBe("ok");
    expect(await check(oldKey)).toBe("TOKEN_INVALID");
  });
});

describe("a removed key", () => {
  test("is refused after 10 minutes, also for a cached token", async () => {
    const { clock, server, verifier, token } = await startVerifier([oldKey, newKey]);
    const cached = token(oldKey);
    await verifier.authenticate(token(newKey));
    clock.move(secondMs);
    server.publish(newKey);
    clock.move(9 * minuteMs + 58 * secondMs);
    expect(await outcome(verifier.authenticate(cached))).toBe("ok");
    clock.move(secondMs);
    expect(await outcome(verifier.authenticate(cached), cached)).toBe("TOKEN_INVALID");
  });

  test("is refused as soon as the keys are fetched", async () => {
    const { clock, server, verifier, token, check } = await startVerifier([oldKey]);
    const cached = token(oldKey);
    await verifier.authenticate(cached);
    server.publish(newKey);
    clock.move(30 * secondMs);
    expect(await check(newKey)).toBe("ok");
    expect(await outcome(verifier.authenticate(cached), cached)).toBe("TOKEN_INVALID");
  });
});

describe("choosing a key", () => {
  test("accepts several keys with the same kid", async () => {
    const [a, b] = [await makeKey("ES256", "same"), await makeKey("ES256", "same")];
    const { check } = await startVerifier([a, b]);
    expect(await check(a)).toBe("ok");
    expect(await check(b)).toBe("ok");
    expect(await check({ ...newKey, jwk: { ...newKey.jwk, kid: "same" } })).toBe("TOKEN_INVALID");
  });

  test("tries each key for a token without a kid", async () => {
    const { verifier, token, check } = await startVerifier([oldKey, newKey]);
    expect(await check(newKey, { kid: undefined })).toBe("ok");
    expect(await check(oldKey, { kid: undefined })).toBe("ok");
    for (const key of [oldKey, newKey]) {
      const wrongType = token(key, { kid: undefined, typ: "JWT" });
      expect((await refusalOf(verifier.authenticate(wrongType)))?.message).toContain('"typ"');
    }
  });

  test("tries at most 8 keys", async () => {
    const many = await Promise.all(Array.from({ length: 9 }, () => makeKey("ES256", "same")));
    const { check } = await startVerifier(many);
    const results = [];
    for (const key of many) results.push(await check(key));
    expect(results).toEqual([...Array.from({ length: 8 }, () => "ok"), "TOKEN_INVALID"]);
  });

  test("skips a broken key and reports it for the log", async () => {
    const broken: TestKey = { ...oldKey, jwk: { kty: "EC", crv: "P-256", x: "AA", y: "AA", kid: "broken" } };
    const { check, verifier, token } = await startVerifier([broken, newKey]);
    expect(await check(newKey)).toBe("ok");
    expect(await check(newKey, { kid: undefined })).toBe("ok");
    const refusal = await refusalOf(verifier.authenticate(token(broken)));
    expect(refusal?.message).toContain("signature");
    expect(refusal?.cause).toBeInstanceOf(Error);
  });

  test("ignores encryption keys", async () => {
    const { check } = await startVerifier([{ ...oldKey, jwk: { ...oldKey.jwk, use: "enc" } }, newKey]);
    expect(await check(oldKey)).toBe("TOKEN_INVALID");
  });
});
