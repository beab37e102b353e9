import { hash } from "node:crypto";
import type { JSONWebKeySet } from "jose";
import { LRUCache } from "lru-cache";
import type { Clock } from "../lib/clock.ts";
import { minuteMs } from "../lib/time.ts";
import { tokenCharsMax } from "./bearer.ts";
import { fixedKeys, type IssuerKeys, type KeySet, remoteKeys } from "./jwks.ts";
import { leewayS, verifiedClaims } from "./jwt-claims.ts";
import { unverifiedIssuer } from "./jwt-format.ts";
import { defaultRolesClaim, grantsOf, type Principal } from "./principal.ts";
import { claimWrong, tokenInvalid } from "./token-refusals.ts";

/** Authenticates callers. */
export interface TokenVerifier {
  /**
   * @throws Refusal TOKEN_INVALID or TOKEN_EXPIRED, or ISSUER_UNAVAILABLE if the keys of the issuer cannot be fetched.
   * The message says what is wrong and never quotes the token.
   */
  authenticate(token: string): Promise<Principal>;
}

/** An issuer whose tokens are accepted. Without `jwks` or `jwksUri`, its metadata says where its keys are. */
type IssuerConfig = {
  readonly issuer: string;
  /** Takes precedence over `VerifierOptions.rolesClaim`. */
  readonly rolesClaim?: string;
} & ({ readonly jwksUri?: string } | { readonly jwks: JSONWebKeySet });

interface VerifierOptions {
  readonly issuers: readonly IssuerConfig[];
  /** The `aud` claim of a token must be, or contain, exactly this. */
  readonly audience: string;
  /** The claim that lists permissions by organization. By default (also if empty), ZITADEL's roles claim. */
  readonly rolesClaim?: string;
  readonly clock: Clock;
  /** The size of the cache, in tokens: at least 1, 10,000 by default. */
  readonly cacheEntriesMax?: number;
  /** Called each time the keys of an issuer could not be fetched, for the log. Must not throw. */
  readonly onIssuerFailure?: (issuer: string, error: Error) => void;
}

interface Issuer {
  readonly issuer: string;
  readonly rolesClaim: string;
  readonly keys: IssuerKeys;
}

/** A token that was verified. */
interface CacheEntry {
  readonly principal: Principal;
  readonly keys: IssuerKeys;
  /** What the token was verified with. */
  readonly keySet: KeySet;
  readonly verifiedAtMs: number;
  readonly expireS: number;
}

const cacheTtlMs = 10 * minuteMs;

/**
 * Verifies JWT access tokens (RFC 9068) of the configured issuers. Verified tokens are cached, because checking a
 * signature is the most expensive part of a call (see docs/performance.md).
 *
 * @throws if the configuration is not usable.
 */
export function createVerifier(options: VerifierOptions): TokenVerifier {
  const { audience, clock, cacheEntriesMax = 10_000 } = options;
  if (audience === "") throw new Error("the audience must not be empty");
  const issuers = issuersByName(options);
  const cache = new LRUCache<string, CacheEntry>({ max: cacheEntriesMax });

  async function verify(token: string): Promise<CacheEntry> {
    // The token itself must not decide where keys are fetched from.
    const issuer = issuers.get(unverifiedIssuer(token));
    if (issuer === undefined) throw claimWrong("iss");
    const verifiedAtMs = clock.now();
    const expected = { issuer: issuer.issuer, audience, clock };
    let keySet = await issuer.keys.current();
    let claims = await verifiedClaims(token, keySet, expected);
    if (claims === undefined) {
      keySet = await issuer.keys.newerThan(keySet);
      claims = await verifiedClaims(token, keySet, expected);
    }
    if (claims === undefined)
      throw tokenInvalid("none of the keys of its issuer is the one that its header asks for");
    const principal = Object.freeze({
      subject: claims.sub,
      issuer: issuer.issuer,
      grants: grantsOf(claims, issuer.rolesClaim),
    });
    return { principal, keys: issuer.keys, keySet, verifiedAtMs, expireS: claims.exp };
  }

  function isFresh({ verifiedAtMs, expireS }: CacheEntry): boolean {
    const nowMs = clock.now();
    // A clock that was set back may be before `nbf` again.
    if (nowMs < verifiedAtMs || nowMs - verifiedAtMs >= cacheTtlMs) return false;
    return Math.floor(nowMs / 1000) - leewayS < expireS;
  }

  return {
    async authenticate(token) {
      if (token.length > tokenCharsMax) throw tokenInvalid(`it is longer than ${tokenCharsMax} characters`);
      // A digest of the whole token, so that no two tokens share an entry.
      const digest = hash("sha256", token, "base64url");
      const entry = cache.get(digest);
      if (entry !== undefined) {
        const { principal, keys, keySet } = entry;
        // Without awaiting if possible: nearly every call takes this path.
        if (isFresh(entry) && keySet === (keys.ifFresh() ?? (await keys.current()))) return principal;
        cache.delete(digest);
      }
      const verified = await verify(token);
      cache.set(digest, verified);
      return verified.principal;
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
