import { hash } from "node:crypto";
import {
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
} from "jose";
import { LRUCache } from "lru-cache";
import * as v from "valibot";
import type { Clock } from "../lib/clock.ts";
import { Refusal } from "../lib/refusal.ts";
import { tokenCharsMax } from "./bearer.ts";
import { fixedKeys, type IssuerKeys, type KeySet, remoteKeys } from "./jwks.ts";
import { defaultRolesClaim, grantsOf, isSubject, type Principal } from "./principal.ts";

/** Establishes who calls. */
export interface TokenVerifier {
  /**
   * @throws UNAUTHENTICATED TOKEN_INVALID or TOKEN_EXPIRED, or UNAVAILABLE ISSUER_UNAVAILABLE while the keys of the
   * token's issuer cannot be had. The message names what is wrong and quotes nothing from the token.
   */
  authenticate(token: string): Promise<Principal>;
}

/** A verifier that can also tell how its issuers are. */
export interface Verifier extends TokenVerifier {
  /** The issuers whose tokens cannot be checked now, for readiness. Fetches keys that are due. Never rejects. */
  unavailableIssuers(): Promise<string[]>;
}

/**
 * An issuer, and where its keys are: at an address, in the metadata that the issuer publishes, or here. An issuer may
 * have a roles claim of its own.
 */
export type IssuerConfig = { readonly issuer: string; readonly rolesClaim?: string } & (
  | { readonly jwksUri?: string }
  | { readonly jwks: JSONWebKeySet }
);

export interface VerifierOptions {
  readonly issuers: readonly IssuerConfig[];
  /** What the `aud` claim must be or contain, exactly. */
  readonly audience: string;
  /** The claim with the permissions by organization. ZITADEL's roles claim unless given, or if empty. */
  readonly rolesClaim?: string;
  readonly clock: Clock;
  /** How many verified tokens are remembered, at least 1. 10,000 unless given. */
  readonly cacheEntriesMax?: number;
  /** Called each time the keys of an issuer could not be fetched, for the log. It must not throw. */
  readonly onIssuerFailure?: (issuer: string, error: Error) => void;
}

interface Issuer {
  readonly issuer: string;
  readonly rolesClaim: string;
  readonly keys: IssuerKeys;
}

interface Verdict {
  readonly principal: Principal;
  readonly keys: IssuerKeys;
  readonly keySet: KeySet;
  readonly atMs: number;
  readonly expireS: number;
}

const algorithms = ["ES256", "RS256", "PS256", "EdDSA"];
const requiredClaims = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"];
// The types of RFC 7519 §4.1: jose checks most, and takes a number too large for a double as a time without end.
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

const leewayS = 30;
const verdictMs = 10 * 60_000;
const keysTriedMax = 8;

/**
 * Verifies JWT access tokens (RFC 9068) of the configured issuers. To check an ES256 token takes 200 us, to find it
 * among those that were checked before takes 1.
 *
 * @throws at once if the configuration is not usable.
 */
export function createVerifier(options: VerifierOptions): Verifier {
  const { audience, clock, cacheEntriesMax = 10_000 } = options;
  if (audience === "") throw new Error("the audience must not be empty");
  const issuers = issuersByName(options);
  const verdicts = new LRUCache<string, Verdict>({ max: cacheEntriesMax });

  async function verify(token: string): Promise<Verdict> {
    const issuer = issuers.get(unverifiedIssuer(token));
    // Decided before any key is looked up: only the configuration says whom to ask.
    if (issuer === undefined) throw invalid(wrongClaim("iss"));
    const atMs = clock.now();
    const expected = { issuer: issuer.issuer, audience, clock };
    let keySet = await issuer.keys.current();
    let claims = await verifiedClaims(token, keySet, expected);
    if (claims === undefined) {
      keySet = await issuer.keys.newerThan(keySet);
      claims = await verifiedClaims(token, keySet, expected);
    }
    if (claims === undefined)
      throw invalid("none of the keys of its issuer is the one that its header asks for");
    const principal = Object.freeze({
      subject: claims.sub,
      issuer: issuer.issuer,
      grants: grantsOf(claims, issuer.rolesClaim),
    });
    return { principal, keys: issuer.keys, keySet, atMs, expireS: claims.exp };
  }

  /** Whether it is the time of the verdict still. If the keys are the same too, nothing would make it another. */
  function isInTime(verdict: Verdict): boolean {
    const nowMs = clock.now();
    // A clock that was set back may be before `nbf`.
    if (nowMs < verdict.atMs || nowMs - verdict.atMs >= verdictMs) return false;
    return Math.floor(nowMs / 1000) - leewayS < verdict.expireS;
  }

  return {
    async authenticate(token) {
      if (token.length > tokenCharsMax) throw invalid(`it is longer than ${tokenCharsMax} characters`);
      // By the digest of the whole token: a shorter key would let two tokens share a verdict.
      const digest = hash("sha256", token, "base64url");
      const known = verdicts.get(digest);
      if (known !== undefined) {
        const { principal, keys, keySet } = known;
        // Without a wait where none is needed: every call comes this way.
        if (isInTime(known) && keySet === (keys.atHand() ?? (await keys.current()))) return principal;
        verdicts.delete(digest);
      }
      const verdict = await verify(token);
      verdicts.set(digest, verdict);
      return verdict.principal;
    },
    async unavailableIssuers() {
      const all = [...issuers.values()];
      const results = await Promise.allSettled(all.map(({ keys }) => keys.current()));
      return all.filter((_, i) => results[i]?.status === "rejected").map(({ issuer }) => issuer);
    },
  };
}

function issuersByName(options: VerifierOptions): Map<string, Issuer> {
  const { issuers, clock, onIssuerFailure: onFailure } = options;
  const byName = new Map<string, Issuer>();
  for (const config of issuers) {
    const { issuer } = config;
    if (issuer === "") throw new Error("an issuer must not be empty");
    if (byName.has(issuer)) throw new Error(`the issuer ${issuer} is configured twice`);
    const keys =
      "jwks" in config
        ? fixedKeys(config.jwks)
        : remoteKeys({ issuer, jwksUri: config.jwksUri, clock, onFailure });
    const rolesClaim = config.rolesClaim || options.rolesClaim || defaultRolesClaim;
    byName.set(issuer, { issuer, rolesClaim, keys });
  }
  return byName;
}

/** Reads the `iss` claim of a token that may be anyone's, after every check that needs no key. */
function unverifiedIssuer(token: string): string {
  const parts = token.split(".");
  if (parts.length === 5) throw invalid("encrypted tokens (JWE) are not accepted");
  // Lenient decoders take padding, spaces and stray bits, which would make many tokens out of one (RFC 7515 §2).
  if (parts.length !== 3 || !parts.every(isBase64url)) throw invalid("it is not a JWT in compact form");
  const { header, payload } = parseJwt(token);
  // RFC 7515 §4 and RFC 7519 §4: names are unique. JSON.parse would keep the last one, another reader the first.
  if (parts.slice(0, 2).some((part) => repeatsName(Buffer.from(part, "base64url").toString()))) {
    throw invalid("a name occurs twice in its header or its claims");
  }
  if (typeof header.alg !== "string" || !algorithms.includes(header.alg)) {
    throw invalid(`its "alg" header is not one of ${algorithms.join(", ")}`);
  }
  if (header.crit !== undefined)
    throw invalid('its "crit" header asks for extensions that are not supported');
  if (header.kid !== undefined && typeof header.kid !== "string")
    throw invalid('its "kid" header is not a string');
  if (payload.iss === undefined) throw invalid(missingClaim("iss"));
  if (typeof payload.iss !== "string") throw invalid(wrongClaim("iss"));
  return payload.iss;
}

function parseJwt(token: string) {
  try {
    return { header: decodeProtectedHeader(token), payload: decodeJwt(token) };
  } catch {
    // The cause quotes the token.
    throw invalid("its header or its claims are not a JSON object");
  }
}

/** The claims of a token whose signature and claims are good. Undefined if its key is not in the set. */
async function verifiedClaims(
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
    throw refusal(error);
  }
  const claims = v.safeParse(claimsSchema, payload);
  if (claims.success) return claims.output;
  throw invalid(wrongClaim(String(claims.issues[0].path?.[0]?.key)));
}

/** Verifies with the one key that the header asks for, or with each that may be meant. */
async function verifyJwt(token: string, keySet: KeySet, options: JWTVerifyOptions): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, keySet, options)).payload;
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    // `kid` is optional, and an issuer may use one for two keys (RFC 7517 §4.5). Tries are bounded: each costs CPU.
    let failure: unknown = error;
    let tries = 0;
    for await (const key of error) {
      if (++tries > keysTriedMax) break;
      try {
        return (await jwtVerify(token, key, options)).payload;
      } catch (cause) {
        if (cause instanceof errors.JWTClaimValidationFailed || cause instanceof errors.JWTExpired)
          throw cause;
        failure = cause;
      }
    }
    throw failure;
  }
}

function refusal(error: unknown): Refusal {
  if (error instanceof errors.JWTExpired) {
    return new Refusal("TOKEN_EXPIRED", "the access token has expired: get a new one");
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === "typ") return invalid('its "typ" header is not "at+jwt" (RFC 9068 §4)');
    if (error.reason === "missing") return invalid(missingClaim(error.claim));
    if (error.claim === "nbf") return invalid('by its "nbf" claim it is not valid yet');
    return invalid(wrongClaim(error.claim));
  }
  // An unusable key is for the operator to see. The errors of jose itself may hold claims.
  const cause = error instanceof errors.JOSEError ? undefined : error;
  return invalid("its signature does not match the keys of its issuer", cause);
}

function invalid(why: string, cause?: unknown): Refusal {
  return new Refusal("TOKEN_INVALID", `the access token is refused: ${why}`, { cause });
}

function missingClaim(name: string): string {
  return `its "${name}" claim is missing (RFC 9068 §2.2)`;
}

function wrongClaim(name: string): string {
  return `its "${name}" claim is wrong`;
}

function isBase64url(text: string): boolean {
  return text !== "" && Buffer.from(text, "base64url").toString("base64url") === text;
}

/** Whether an object in a text that is known to be JSON has a name twice, at any depth. */
function repeatsName(json: string): boolean {
  const open: Set<string>[] = [];
  // In valid JSON a string before a colon is a name, and it belongs to the innermost open object.
  for (const [match, name] of json.matchAll(
    /("[^"\\]*(?:\\.[^"\\]*)*")\s*:|"[^"\\]*(?:\\.[^"\\]*)*"|[{}]/g,
  )) {
    if (match === "{") open.push(new Set());
    else if (match === "}") open.pop();
    else if (name !== undefined) {
      const names = open.at(-1);
      const text: string = JSON.parse(name);
      if (names?.has(text)) return true;
      names?.add(text);
    }
  }
  return false;
}
