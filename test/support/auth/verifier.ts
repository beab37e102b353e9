import { inspect } from "node:util";
import { expect } from "vitest";
import { createVerifier } from "../../../src/auth/verifier.ts";
import { Refusal } from "../../../src/lib/refusal.ts";
import { MovableClock } from "../clock.ts";
import { startIssuer } from "./issuer-server.ts";
import { audience, goodClaims, signToken, type TestKey } from "./tokens.ts";

// Long enough for every test, in seconds.
const ttlS = 10 * 24 * 3600;

/** Starts an issuer that publishes the keys, and a verifier that accepts its tokens. */
export async function startVerifier(
  published: readonly TestKey[],
  options: { cacheEntriesMax?: number } = {},
) {
  const clock = new MovableClock();
  const server = await startIssuer(...published);
  const failures: Error[] = [];
  const verifier = createVerifier({
    issuers: [server.config],
    audience,
    clock,
    onIssuerFailure: (_, error) => failures.push(error),
    ...options,
  });
  const claims = goodClaims(server.origin, clock);
  let count = 0;
  /** Signs a valid token. No two are equal, so that none is answered from the cache. */
  const token = (key: TestKey, header: Record<string, unknown> = {}) =>
    signToken(key, { ...claims, exp: claims.iat + ttlS, jti: `claim-${++count}` }, header);
  const check = (key: TestKey, header?: Record<string, unknown>) =>
    outcome(verifier.authenticate(token(key, header)));
  return { clock, server, failures, verifier, claims, token, check };
}

/** `ok`, or the reason of the refusal. Fails if the refusal quotes a claim or the token. */
export async function outcome(authentication: Promise<unknown>, token = ""): Promise<string> {
  const refusal = await refusalOf(authentication);
  if (refusal === undefined) return "ok";
  const shown = inspect([refusal.message, refusal.field, refusal.cause], { depth: null });
  for (const secret of ["claim-", ...token.split(".").filter((part) => part.length > 8)]) {
    expect(shown).not.toContain(secret);
  }
  return refusal.reason;
}

export async function refusalOf(authentication: Promise<unknown>): Promise<Refusal | undefined> {
  try {
    await authentication;
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}
