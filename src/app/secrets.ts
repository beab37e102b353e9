import { type LocalIssuer, openLocalIssuer } from "../auth/local-issuer.ts";
import { openDevelopmentProofKey } from "../auth/prover.ts";
import { type SigningKey, signingKeyOf } from "../auth/signing-key.ts";
import type { Config } from "../config/config.ts";
import { createKeyRing, type KeyRing, openDevelopmentKey } from "../otp/codes/keys.ts";

export interface Secrets {
  /** For codes, and everything else that is derived from keys. */
  readonly codeKeys: KeyRing;
  /** The first one signs proofs, all are published. */
  readonly proofKeys: readonly [SigningKey, ...SigningKey[]];
  /** The issuer behind `countersign token`, if its tokens are accepted. */
  readonly localIssuer: LocalIssuer | undefined;
}

/**
 * Takes the keys from the settings, or else from files in the data folder, which are created on first start.
 *
 * @throws if a file of secrets is readable by anyone but its owner.
 */
export async function openSecrets({ dataDir, keys, proofKeys, trustLocalIssuer }: Config): Promise<Secrets> {
  const [first, ...others] = proofKeys ?? [openDevelopmentProofKey(dataDir)];
  return {
    codeKeys: createKeyRing(keys ?? [openDevelopmentKey(dataDir)]),
    proofKeys: [await signingKeyOf(first), ...(await Promise.all(others.map(signingKeyOf)))],
    localIssuer: trustLocalIssuer ? await openLocalIssuer(dataDir) : undefined,
  };
}
