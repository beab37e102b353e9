import { generateKeyPairSync } from "node:crypto";

/** Generates a private key for proofs, as PEM text. */
export function proofKey(namedCurve = "P-256"): string {
  return generateKeyPairSync("ec", { namedCurve })
    .privateKey.export({ type: "pkcs8", format: "pem" })
    .toString();
}
