import * as v from "valibot";
import { readPemKeys } from "../auth/signing-key.ts";
import type { CodeKey } from "../otp/codes/keys.ts";
import type { Settings } from "./setting.ts";
import { isDistinct, items, list, pem } from "./values.ts";

const codeKeys = v.pipe(
  items,
  v.rawTransform(({ dataset, addIssue, NEVER }): readonly [CodeKey, ...CodeKey[]] => {
    const [first, ...others] = dataset.value.map(parseKey);
    if (first && others.every((key) => key !== undefined)) return [first, ...others];
    addIssue({
      message:
        "must be id:base64, comma separated; an id consists of letters, digits, dots, dashes and underscores",
    });
    return NEVER;
  }),
  v.check(
    (keys) => keys.every((key) => key.secret.length >= 32),
    "must hold keys of at least 32 bytes: openssl rand -base64 32 makes one",
  ),
  v.check((keys) => isDistinct(keys.map((key) => key.id)), "must not use a key id twice"),
);

function parseKey(item: string): CodeKey | undefined {
  const match = /^([A-Za-z0-9._-]{1,64}):([A-Za-z0-9+/_-]+={0,2})$/.exec(item);
  return match ? { id: match[1]!, secret: Buffer.from(match[2]!, "base64") } : undefined;
}

const proofKeys = v.pipe(
  pem,
  v.transform(readPemKeys),
  v.check(
    (keys) => keys !== undefined,
    "must be private keys on P-256, each once: openssl ecparam -genkey -name prime256v1 -noout makes one",
  ),
);

const audiences = v.pipe(
  list,
  v.transform((names): "any" | readonly string[] => (names.includes("*") ? "any" : names)),
);

export const keySettings = {
  COUNTERSIGN_KEYS: {
    check: codeKeys,
    unset: "generated in `COUNTERSIGN_DATA_DIR`",
    isNeeded: true,
    isSecret: true,
    help:
      "Keys that codes are derived from: `id:base64`, comma separated, each of at least 32 bytes " +
      "(`openssl rand -base64 32` makes one). The first derives new codes, all verify",
  },
  COUNTERSIGN_PROOF_KEYS: {
    check: proofKeys,
    unset: "generated in `COUNTERSIGN_DATA_DIR`",
    isNeeded: true,
    isSecret: true,
    help:
      "Private P-256 keys for proofs of logins: PEM text, or the path of a PEM file (`openssl ecparam " +
      "-genkey -name prime256v1 -noout` makes one). The first signs, all are published",
  },
  COUNTERSIGN_PROOF_AUDIENCES: {
    check: audiences,
    default: "",
    devDefault: "*",
    help: "Audiences that proofs may be requested for, comma separated, or `*` for any",
  },
} satisfies Settings;
