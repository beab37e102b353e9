import { errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from "jose";
import * as v from "valibot";
import type { Clock } from "../lib/clock.ts";
import { Refusal } from "../lib/refusal.ts";
import type { KeySet } from "./jwks.ts";
import { algorithms } from "./jwt-format.ts";
import { isSubject } from "./principal.ts";
import { claimMissing, claimWrong, tokenInvalid } from "./token-refusals.ts";

/** The clock skew that is tolerated in `exp` and `nbf`, in seconds. */
export const leewayS = 30;

/** RFC 9068 §2.2. */
const requiredClaims = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"];

// RFC 7519 §4.1. jose checks most types, but accepts 1e999 as a time that never comes.
const text = v.pipe(v.string(), v.nonEmpty());
const time = v.pipe(v.number(), v.finite());
const claimsSchema = v.looseObject({
  sub: v.pipe(v.string(), v.check(isSubject)),
  aud: v.union([v.string(), v.array(v.string())]),
  client_id: text,
  jti: text,
  iat: time,
  exp: time,
  nbf: v.optional(time),
});
type Claims = v.InferOutput<typeof claimsSchema>;

/**
 * Verifies the signature and the claims of a JWT access token (RFC 9068 §4).
 *
 * @param token in the form that `unverifiedIssuer` accepts.
 * @returns its claims, or undefined if none of the keys matches its header.
 * @throws Refusal TOKEN_INVALID or TOKEN_EXPIRED
 */
export async function verifiedClaims(
  token: string,
  keySet: KeySet,
  { issuer, audience, clock }: { issuer: string; audience: string; clock: Clock },
): Promise<Claims | undefined> {
  let payload: JWTPayload;
  try {
    payload = await verifyJwt(token, keySet, {
      algorithms,
      issuer,
      audience,
      typ: "at+jwt",
      requiredClaims,
      clockTolerance: leewayS,
      currentDate: new Date(clock.now()),
    });
  } catch (error) {
    if (error instanceof errors.JWKSNoMatchingKey) return undefined;
    throw toRefusal(error);
  }
  const claims = v.safeParse(claimsSchema, payload);
  if (claims.success) return claims.output;
  throw claimWrong(String(claims.issues[0].path?.[0]?.key));
}

/** Limits the work that a token can cause if many keys match its header. */
const keysTriedMax = 8;

async function verifyJwt(token: string, keySet: KeySet, options: JWTVerifyOptions): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, keySet, options)).payload;
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    // Several keys match: `kid` is optional, and may be the same for two keys (RFC 7517 §4.5).
    let failure: unknown = error;
    let tries = 0;
    for await (const key of error) {
      if (++tries > keysTriedMax) break;
      try {
        return (await jwtVerify(token, key, options)).payload;
      } catch (cause) {
        // The signature is good, so another key can't help.
        if (cause instanceof errors.JWTClaimValidationFailed || cause instanceof errors.JWTExpired)
          throw cause;
        failure = cause;
      }
    }
    throw failure;
  }
}

function toRefusal(error: unknown): Refusal {
  if (error instanceof errors.JWTExpired) {
    return new Refusal("TOKEN_EXPIRED", "the access token has expired: get a new one");
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === "typ") return tokenInvalid('its "typ" header is not "at+jwt" (RFC 9068 §4)');
    if (error.reason === "missing") return claimMissing(error.claim);
    if (error.claim === "nbf") return tokenInvalid('by its "nbf" claim it is not valid yet');
    return claimWrong(error.claim);
  }
  // Log an unusable key for the operator. Errors of jose are left out: they can quote claims.
  const cause = error instanceof errors.JOSEError ? undefined : error;
  return tokenInvalid("its signature does not match the keys of its issuer", cause);
}
