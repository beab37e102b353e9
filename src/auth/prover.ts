import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import { type JSONWebKeySet, SignJWT } from "jose";
import { readOrMakePrivateFile } from "../lib/private-file.ts";
import { makeKeyPair, readKeyPair, type SigningKey } from "./signing-key.ts";

interface ProofClaims {
  readonly subject: string;
  readonly audience: string;
  readonly nonce: string | null;
  /** The `jti` claim, unique per proof. */
  readonly id: string;
  /** When the challenge was passed, in milliseconds since the epoch. */
  readonly authTime: number;
}

/** Signs the proofs of passed challenges. */
export interface Prover {
  /** The public keys, for relying services. */
  readonly jwks: JSONWebKeySet;
  /** Returns a JWT that is valid for 2 minutes from `authTime`. */
  prove(claims: ProofClaims): Promise<string>;
}

/** An explicit type (RFC 8725 §3.11), so that a proof is not accepted as an access token or ID token. */
const proofType = "otp-proof+jwt";

const ttlSeconds = 120;

/** Signs with the first key and publishes all of them, so that relying services can fetch a key before it is used. */
export function createProver(issuer: string, keys: readonly [SigningKey, ...SigningKey[]]): Prover {
  const [{ kid, privateKey }] = keys;
  return {
    jwks: { keys: keys.map(({ publicJwk }) => publicJwk) },
    async prove({ subject, audience, nonce, id, authTime }) {
      const seconds = Math.floor(authTime / 1000);
      // No acr: email is no out-of-band authenticator by NIST SP 800-63B-4 and OWASP ASVS 6.3.6.
      const claims = { amr: ["otp"], auth_time: seconds, ...(nonce === null ? {} : { nonce }) };
      return new SignJWT(claims)
        .setProtectedHeader({ alg: "ES256", typ: proofType, kid })
        .setIssuer(issuer)
        .setSubject(subject)
        .setAudience(audience)
        .setJti(id)
        .setIssuedAt(seconds)
        .setExpirationTime(seconds + ttlSeconds)
        .sign(privateKey);
    },
  };
}

/**
 * Reads the signing key of a development server from `proof-key.json`, which is created on first use.
 *
 * @throws if the file is damaged, or readable by anyone but its owner.
 */
export function openDevelopmentProofKey(dataDir: string): KeyObject {
  const path = join(dataDir, "proof-key.json");
  const key = readKeyPair(readOrMakePrivateFile(path, makeKeyPair));
  if (!key) throw new Error(`${path} is not a key pair for proofs: remove it, and a new one is made`);
  return key;
}
