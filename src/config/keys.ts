import * as v from "valibot";
import { readPemKeys } from "../auth/signing-key.ts";
import type { CodeKey } from "../otp/codes/keys.ts";
import { list, pem } from "./values.ts";

const keys = v.pipe(
  list,
  v.minLength(1, "must be id:base64, comma separated"),
  v.transform((items) => items.map(parseKey)),
  v.check(
    (parsed) => parsed.every((key) => key !== undefined),
    "must be id:base64, comma separated; ids are letters, digits, dots, dashes and underscores",
  ),
  v.transform((parsed) => parsed.filter((key) => key !== undefined)),
  v.check(
    (parsed) => parsed.every((key) => key.secret.length >= 32),
    "must hold keys of at least 32 bytes: openssl rand -base64 32 makes one",
  ),
  v.check(
    (parsed) => new Set(parsed.map((key) => key.id)).size === parsed.length,
    "must not use a key id twice",
  ),
);

function parseKey(item: string): CodeKey | undefined {
  const match = /^([A-Za-z0-9._-]{1,64}):([A-Za-z0-9+/_-]+={0,2})$/.exec(item);
  return match ? { id: match[1]!, secret: Buffer.from(match[2]!, "base64") } : undefined;
}

const proofKeys = v.pipe(
  pem,
  v.transform(readPemKeys),
  v.check(
    (parsed) => parsed !== undefined,
    "must be private keys on P-256, each once: openssl ecparam -genkey -name prime256v1 -noout makes one",
  ),
);

/** With what codes are derived. */
export const codeKeyEntries = { COUNTERSIGN_KEYS: v.optional(keys) };

/** With what proofs are signed, and for whom. */
export const proofEntries = {
  COUNTERSIGN_PROOF_KEYS: v.optional(proofKeys),
  COUNTERSIGN_PROOF_AUDIENCES: v.optional(list),
};

type CodeKeySettings = v.InferOutput<v.ObjectSchema<typeof codeKeyEntries, undefined>>;

export function toKeys({
  COUNTERSIGN_KEYS = [],
}: Partial<CodeKeySettings>): readonly [CodeKey, ...CodeKey[]] | undefined {
  const [first, ...others] = COUNTERSIGN_KEYS;
  return first && [first, ...others];
}
