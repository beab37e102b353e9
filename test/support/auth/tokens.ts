import { sign as cryptoSign, KeyObject } from "node:crypto";
import { exportJWK, generateKeyPair, type JWK } from "jose";
import type { Clock } from "../../../src/lib/clock.ts";

export interface TestKey {
  readonly alg: string;
  /** Public. */
  readonly jwk: JWK;
  readonly privateKey: KeyObject;
}

export async function makeKey(alg: string, kid: string | undefined): Promise<TestKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), alg, use: "sig", ...(kid !== undefined && { kid }) };
  return { alg, jwk, privateKey: KeyObject.from(privateKey) };
}

export const audience = "countersign.example";

/** Valid claims. Free-form values start with `claim-`, so that a message that quotes them can be detected. */
export function goodClaims(issuer: string, clock: Clock) {
  const iat = Math.floor(clock.now() / 1000);
  return {
    iss: issuer,
    sub: "claim-subject",
    aud: audience,
    client_id: "claim-client",
    iat,
    exp: iat + 3600,
    jti: "claim-jti",
    scope: "user.read claim-scope",
  };
}

type Part = Readonly<Record<string, unknown>> | string | Buffer;

/** Signs any content as a JWS in compact form. A string or Buffer is used as the raw JSON text. */
export function signToken(key: TestKey, claims: Part, header: Part = {}): string {
  const full =
    typeof header === "string" || Buffer.isBuffer(header)
      ? header
      : { alg: key.alg, typ: "at+jwt", kid: key.jwk.kid, ...header };
  const input = `${encode(full)}.${encode(claims)}`;
  return `${input}.${signBytes(key, input).toString("base64url")}`;
}

function signBytes({ alg, privateKey }: TestKey, input: string): Buffer {
  const data = Buffer.from(input);
  if (alg === "EdDSA") return cryptoSign(null, data, privateKey);
  if (alg === "ES256") return cryptoSign("sha256", data, { key: privateKey, dsaEncoding: "ieee-p1363" });
  // 6 is RSA_PKCS1_PSS_PADDING, 1 is RSA_PKCS1_PADDING.
  if (alg === "PS256") return cryptoSign("sha256", data, { key: privateKey, padding: 6, saltLength: 32 });
  return cryptoSign("sha256", data, { key: privateKey, padding: 1 });
}

export function encode(part: Part): string {
  const bytes = typeof part === "string" || Buffer.isBuffer(part) ? part : JSON.stringify(part);
  return Buffer.from(bytes).toString("base64url");
}
