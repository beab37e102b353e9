import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { type JSONWebKeySet, SignJWT } from "jose";
import type { Clock } from "../lib/clock.ts";
import { readOrMakePrivateFile } from "../lib/private-file.ts";
import { defaultRolesClaim, isSubject, type Permission } from "./principal.ts";
import { makeKeyPair, readKeyPair, signingKeyOf } from "./signing-key.ts";

/** What a token of the local issuer says. */
export interface LocalToken {
  /** 1 to 200 characters. */
  readonly subject: string;
  readonly audience: string;
  /** The organization that the permissions are for. All organizations unless given. */
  readonly org?: string | undefined;
  readonly permissions: readonly Permission[];
  /** Counted in whole seconds, at least one. */
  readonly ttlMs: number;
}

/** An issuer of access tokens for development and for first steps. It is also its own verifier configuration. */
export interface LocalIssuer {
  readonly issuer: string;
  readonly jwks: JSONWebKeySet;
  readonly rolesClaim: string;
  /** Signs a JWT access token (RFC 9068). */
  issue(token: LocalToken, clock: Clock): Promise<string>;
}

const issuer = "urn:countersign:local";

/**
 * Opens the issuer whose key pair is in `local-issuer.json` in the data folder. Both are made on first use, for their
 * owner alone. Of two processes that do so at once, both end up with the same key.
 *
 * @throws if anyone but the owner can read the file, or if it is damaged.
 */
export async function openLocalIssuer(dataDir: string): Promise<LocalIssuer> {
  const path = join(dataDir, "local-issuer.json");
  const key = readKeyPair(readOrMakePrivateFile(path, makeKeyPair));
  if (!key)
    throw new Error(`${path} is not the key pair of the local issuer: remove it to have a new one made`);
  const { kid, publicJwk, privateKey } = await signingKeyOf(key);
  return {
    issuer,
    jwks: { keys: [publicJwk] },
    rolesClaim: defaultRolesClaim,
    async issue({ subject, audience, org, permissions, ttlMs }, clock) {
      if (!isSubject(subject)) throw new RangeError("the subject of a token must be 1 to 200 characters");
      if (!(ttlMs >= 1000)) throw new RangeError("a token must live for a second or more");
      const iat = Math.floor(clock.now() / 1000);
      const exp = iat + Math.floor(ttlMs / 1000);
      const claims = { client_id: "countersign-cli", ...permissionClaims(permissions, org) };
      return new SignJWT(claims)
        .setProtectedHeader({ alg: "ES256", typ: "at+jwt", kid })
        .setIssuer(issuer)
        .setSubject(subject)
        .setAudience(audience)
        .setIssuedAt(iat)
        .setExpirationTime(exp)
        .setJti(randomUUID())
        .sign(privateKey);
    },
  };
}

function permissionClaims(permissions: readonly Permission[], org: string | undefined) {
  if (permissions.length === 0) return {};
  if (org === undefined) return { scope: permissions.join(" ") };
  return { [defaultRolesClaim]: Object.fromEntries(permissions.map((name) => [name, { [org]: org }])) };
}
