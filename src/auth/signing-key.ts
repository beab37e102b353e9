import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { calculateJwkThumbprint, type JWK } from "jose";
import * as v from "valibot";

/** A P-256 key pair for ES256. */
export interface SigningKey {
  /** The thumbprint of the public key (RFC 7638). */
  readonly kid: string;
  readonly publicJwk: JWK;
  readonly privateKey: KeyObject;
}

const keyPairSchema = v.object({
  kty: v.literal("EC"),
  crv: v.literal("P-256"),
  x: v.string(),
  y: v.string(),
  d: v.string(),
});

/** Generates a key pair, as a private JWK in JSON. */
export function makeKeyPair(): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return `${JSON.stringify(privateKey.export({ format: "jwk" }), null, 2)}\n`;
}

/** Parses the output of `makeKeyPair`. Returns undefined if it is invalid: an error could quote the key. */
export function readKeyPair(text: string): KeyObject | undefined {
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), keyPairSchema), text);
  return parsed.success ? readKey({ key: parsed.output, format: "jwk" }) : undefined;
}

/** Parses PEM text with one or more P-256 private keys. Returns undefined if there is any other key, or a duplicate. */
export function readPemKeys(pem: string): readonly [KeyObject, ...KeyObject[]] | undefined {
  const blocks = pem.match(/-----BEGIN ([A-Z ]*)PRIVATE KEY-----[^-]+-----END \1PRIVATE KEY-----/g) ?? [];
  const keys: KeyObject[] = [];
  for (const block of blocks) {
    const key = readKey(block);
    if (!key || keys.some((other) => other.equals(key))) return undefined;
    keys.push(key);
  }
  const [first, ...others] = keys;
  return first && [first, ...others];
}

function readKey(key: Parameters<typeof createPrivateKey>[0]): KeyObject | undefined {
  try {
    const privateKey = createPrivateKey(key);
    return privateKey.asymmetricKeyDetails?.namedCurve === "prime256v1" ? privateKey : undefined;
  } catch {
    return undefined;
  }
}

/** @param privateKey a P-256 key. */
export async function signingKeyOf(privateKey: KeyObject): Promise<SigningKey> {
  const { d: _, ...publicJwk } = v.parse(keyPairSchema, privateKey.export({ format: "jwk" }));
  const kid = await calculateJwkThumbprint(publicJwk);
  return { kid, publicJwk: { ...publicJwk, kid, alg: "ES256", use: "sig" }, privateKey };
}
