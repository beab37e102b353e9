import { createHmac, timingSafeEqual } from "node:crypto";
import { Refusal } from "../../lib/refusal.ts";
import { lengthPrefixed } from "./length-prefixed.ts";

/** What a code is for. It is part of what the code is derived from, so a code for one purpose never works for another. */
export type CodePurpose = "enrolment" | "login";

/** Everything a code is bound to. The same binding under the same key always gives the same code. */
export interface CodeBinding {
  readonly purpose: CodePurpose;
  readonly orgId: string;
  readonly userId: string;
  readonly otpEmailId: string;
  /** The login challenge, or "" for an enrolment. */
  readonly challengeId: string;
  readonly address: string;
  /** 16 random bytes, fresh for each code. */
  readonly salt: Uint8Array;
}

/** How a code is written. */
export interface CodeFormat {
  readonly alphabet: CodeAlphabet;
  /** Characters, 1 to 12. */
  readonly length: number;
}

export type CodeAlphabet = keyof typeof alphabets;

/** Crockford's base32 has no I, L, O and U, so no two of its characters look alike. */
const alphabets = { digits: "0123456789", crockford: "0123456789ABCDEFGHJKMNPQRSTVWXYZ" } as const;

/**
 * Derives a code: HMAC-SHA-256 (RFC 2104) over the binding, written in the format without bias.
 *
 * Codes are derived on demand and never stored, so a stolen database holds nothing to read and, without the key, nothing to
 * test guesses against.
 */
export function deriveCode(key: Uint8Array, binding: CodeBinding, format: CodeFormat): string {
  const alphabet = alphabets[format.alphabet];
  const space = codeSpace(format);
  let number = uniformBelow(space, key, encodeBinding(binding));
  let code = "";
  for (let i = 0; i < format.length; i++) {
    code = alphabet[Number(number % BigInt(alphabet.length))] + code;
    number /= BigInt(alphabet.length);
  }
  return code;
}

/** The number of codes a format has. */
export function codeSpace({ alphabet, length }: CodeFormat): bigint {
  return BigInt(alphabets[alphabet].length) ** BigInt(length);
}

/** The number of codes a format has, in bits: 20 bits are about a million. */
export function codeBits(format: CodeFormat): number {
  return format.length * Math.log2(alphabets[format.alphabet].length);
}

/**
 * Normalizes what the user typed (see `normalizeCode`). Runs before any query.
 *
 * @throws INVALID_ARGUMENT (CODE_INVALID) if it can't be a code of this format.
 */
export function parseCode(typed: string, format: CodeFormat): string {
  const code = normalizeCode(typed, format);
  if (code !== undefined) return code;
  const characters = format.alphabet === "digits" ? "digits" : "letters and digits";
  throw new Refusal("CODE_INVALID", `code must be the ${format.length} ${characters} from the mail`, {
    field: "code",
  });
}

/**
 * Writes a typed code as the service does: drops spaces and dashes and, in Crockford's alphabet, folds case and reads O as 0
 * and I and L as 1.
 *
 * @returns undefined if it can't be a code of this format.
 */
export function normalizeCode(typed: string, format: CodeFormat): string | undefined {
  let code = typed.replace(/[ -]/g, "");
  if (format.alphabet === "crockford") {
    code = code
      .replace(/[a-z]/g, (c) => c.toUpperCase())
      .replace(/O/g, "0")
      .replace(/[IL]/g, "1");
  }
  if (code.length !== format.length) return undefined;
  for (const c of code) if (!alphabets[format.alphabet].includes(c)) return undefined;
  return code;
}

/** Compares two normalized codes in constant time (ASVS 11.2.4). */
export function codesEqual(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}

function encodeBinding(binding: CodeBinding): Buffer {
  const { purpose, orgId, userId, otpEmailId, challengeId, address, salt } = binding;
  return lengthPrefixed(["countersign/v1", purpose, orgId, userId, otpEmailId, challengeId, address, salt]);
}

/**
 * Returns a number below `space`, each with the same probability. Rejection sampling: a 64-bit word in the last, incomplete
 * multiple of `space` is skipped. The HMAC of the message gives four words; each further four are the HMAC of the last.
 */
function uniformBelow(space: bigint, key: Uint8Array, message: Uint8Array): bigint {
  const limit = (1n << 64n) - ((1n << 64n) % space);
  for (let block = hmac(key, message); ; block = hmac(key, block)) {
    for (let offset = 0; offset < block.length; offset += 8) {
      const word = block.readBigUInt64BE(offset);
      if (word < limit) return word % space;
    }
  }
}

function hmac(key: Uint8Array, message: Uint8Array): Buffer {
  return createHmac("sha256", key).update(message).digest();
}
