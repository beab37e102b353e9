import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import { type JSONWebKeySet, SignJWT } from "jose";
import { readOrMakePrivateFile } from "../lib/private-file.ts";
import { makeKeyPair, readKeyPair, type SigningKey } from "./signing-key.ts";

/** What a proof says. */
export interface ProofClaims {
  readonly subject: string;
  readonly audience: string;
  readonly nonce: string | null;
  /** Unique to the proof. */
  readonly id: string;
  /** When the user proved it, in milliseconds since the epoch. */
  readonly authTime: number;
}

/** Signs the proofs of passed challenges. */
export interface Prover {
  /** What relying services check proofs with. */
  readonly jwks: JSONWebKeySet;
  /** Makes a JWT that is valid for 2 minutes from `authTime` on. */
  prove(claims: ProofClaims): Promise<string>;
}

/** The type of a proof (RFC 8725 §3.11): it is neither an access token nor an ID token. */
const proofType = "otp-proof+jwt";

const ttlSeconds = 120;

/** The first key signs, all are published: whoever checks knows a key before it signs, and after it was replaced. */
export function createProver(issuer: string, keys: readonly [SigningKey, ...SigningKey[]]): Prover {
  const [{ kid, privateKey }] = keys;
  return {
    jwks: { keys: keys.map(({ publicJwk }) => publicJwk) },
    async prove({ subject, audience, nonce, id, authTime }) {
      const seconds = Math.floor(authTime / 1000);
      // No acr: what is sent by email is of no high level (design, Codes).
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
 * The key of a development server, made on its first start.
 *
 * @throws if anyone but the owner can read its file, or if it is damaged.
 */
export function openDevelopmentProofKey(dataDir: string): KeyObject {
  const path = join(dataDir, "proof-key.json");
  const key = readKeyPair(readOrMakePrivateFile(path, makeKeyPair));
  if (!key) throw new Error(`${path} is not a key pair for proofs: remove it to have a new one made`);
  return key;
}
