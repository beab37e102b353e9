import { createHmac, timingSafeEqual } from "node:crypto";

/** What a code is for. A code of one purpose is never one of another: the purpose is part of what it is derived from. */
export type CodePurpose = "enrolment" | "login";

/** Everything a code is bound to. The same binding under the same key always gives the same code. */
export interface CodeBinding {
  readonly purpose: CodePurpose;
  readonly orgId: string;
  readonly userId: string;
  readonly otpEmailId: string;
  /** The login challenge, or "" where there is none. */
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

/** Crockford's base32 leaves out I, L, O and U: nothing in it can be read as something else. */
const alphabets = { digits: "0123456789", crockford: "0123456789ABCDEFGHJKMNPQRSTVWXYZ" } as const;

/**
 * Derives a code: HMAC-SHA-256 (RFC 2104) over the binding, written in the format without bias.
 *
 * A code is never stored. Whoever has the database but not the key has nothing to read and nothing to test a guess
 * against.
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

/** How many codes a format has. */
export function codeSpace({ alphabet, length }: CodeFormat): bigint {
  return BigInt(alphabets[alphabet].length) ** BigInt(length);
}

/** How many codes a format has, as a power of two: 20 bits are a million. */
export function codeBits(format: CodeFormat): number {
  return format.length * Math.log2(alphabets[format.alphabet].length);
}

/**
 * What the user typed, as the code would be written: spaces and dashes dropped, case folded, and in Crockford's
 * alphabet O read as 0, I and L as 1.
 *
 * @returns undefined if it cannot be a code of this format.
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

/** Compares two normalised codes in a time that does not depend on them (ASVS 11.2.4). */
export function codesEqual(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}

function encodeBinding(binding: CodeBinding): Buffer {
  const { purpose, orgId, userId, otpEmailId, challengeId, address, salt } = binding;
  return lengthPrefixed(["countersign/v1", purpose, orgId, userId, otpEmailId, challengeId, address, salt]);
}

/** Every part is preceded by its length, so that no two lists are the same bytes. */
export function lengthPrefixed(parts: readonly (string | Uint8Array)[]): Buffer {
  const lengths = parts.map((part) => Buffer.byteLength(part));
  const bytes = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + 4 + length, 0));
  let at = 0;
  for (const [i, part] of parts.entries()) {
    at = bytes.writeUInt32BE(lengths[i] ?? 0, at);
    at += typeof part === "string" ? bytes.write(part, at) : Buffer.from(part).copy(bytes, at);
  }
  return bytes;
}

/**
 * A number below `space`, each equally likely: a word of 64 bits that falls into the last, incomplete run of `space`
 * is passed over for the next one. The first four words are the HMAC of the message; were they all passed over, the
 * next four would be the HMAC of these.
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
