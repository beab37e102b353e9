import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { type JSONWebKeySet, SignJWT } from "jose";
import type { Clock } from "../lib/clock.ts";
import { readOrMakePrivateFile } from "../lib/private-file.ts";
import { defaultRolesClaim, isSubject, type Permission } from "./principal.ts";
import { makeKeyPair, readKeyPair, signingKeyOf } from "./signing-key.ts";

interface LocalToken {
  /** 1 to 200 characters. */
  readonly subject: string;
  readonly audience: string;
  /** The organization of the permissions. All organizations by default. */
  readonly org?: string | undefined;
  readonly permissions: readonly Permission[];
  /** At least 1,000; rounded down to whole seconds. */
  readonly ttlMs: number;
}

/** Issues access tokens in development. It is an IssuerConfig too, for a verifier that accepts them. */
export interface LocalIssuer {
  readonly issuer: string;
  readonly jwks: JSONWebKeySet;
  readonly rolesClaim: string;
  /** Signs a JWT access token (RFC 9068). */
  issue(token: LocalToken, clock: Clock): Promise<string>;
}

const issuer = "urn:countersign:local";

/**
 * Opens the issuer with the key pair in `local-issuer.json` in the data folder. Folder and file are created on first
 * use, readable by their owner only. Processes that start at the same time get the same key.
 *
 * @throws if the file is damaged, or readable by anyone but its owner.
 */
export async function openLocalIssuer(dataDir: string): Promise<LocalIssuer> {
  const path = join(dataDir, "local-issuer.json");
  const key = readKeyPair(readOrMakePrivateFile(path, makeKeyPair));
  if (!key)
    throw new Error(`${path} is not the key pair of the local issuer: remove it, and a new one is made`);
  const { kid, publicJwk, privateKey } = await signingKeyOf(key);
  return {
    issuer,
    jwks: { keys: [publicJwk] },
    rolesClaim: defaultRolesClaim,
    async issue({ subject, audience, org, permissions, ttlMs }, clock) {
      if (!isSubject(subject)) throw new RangeError("the subject of a token must be 1 to 200 characters");
      if (!(ttlMs >= 1000)) throw new RangeError("a token must be valid for at least a second");
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
