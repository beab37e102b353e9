import { generateKeyPairSync } from "node:crypto";

/** A new private key for proofs, in PEM text. */
export function proofKey(namedCurve = "P-256"): string {
  return generateKeyPairSync("ec", { namedCurve })
    .privateKey.export({ type: "pkcs8", format: "pem" })
    .toString();
}
