import { type LocalIssuer, openLocalIssuer } from "../auth/local-issuer.ts";
import { openDevelopmentProofKey } from "../auth/prover.ts";
import { type SigningKey, signingKeyOf } from "../auth/signing-key.ts";
import type { Config } from "../config/config.ts";
import { createKeyRing, type KeyRing, openDevelopmentKey } from "../otp/codes/keys.ts";

/** The keys of the service: of the settings, or else of files in the data folder that are made on first start. */
export interface Secrets {
  /** What codes are derived from. */
  readonly codeKeys: KeyRing;
  /** The first signs proofs. */
  readonly proofKeys: readonly [SigningKey, ...SigningKey[]];
  /** The issuer of `countersign token`, if its tokens are accepted. */
  readonly localIssuer: LocalIssuer | undefined;
}

/** @throws if a file of secrets can be read by others than its owner. */
export async function openSecrets({ dataDir, keys, proofKeys, trustLocalIssuer }: Config): Promise<Secrets> {
  const [first, ...others] = proofKeys ?? [openDevelopmentProofKey(dataDir)];
  return {
    codeKeys: createKeyRing(keys ?? [openDevelopmentKey(dataDir)]),
    proofKeys: [await signingKeyOf(first), ...(await Promise.all(others.map(signingKeyOf)))],
    localIssuer: trustLocalIssuer ? await openLocalIssuer(dataDir) : undefined,
  };
}
