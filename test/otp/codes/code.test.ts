import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type CodeBinding,
  type CodeFormat,
  codeBits,
  codesEqual,
  deriveCode,
  normalizeCode,
} from "../../../src/otp/codes/code.ts";

const crockford8: CodeFormat = { alphabet: "crockford", length: 8 };
const digits6: CodeFormat = { alphabet: "digits", length: 6 };

const key = Uint8Array.from({ length: 32 }, (_, i) => i);
const binding: CodeBinding = {
  purpose: "enrolment",
  orgId: "demo",
  userId: "demo-user",
  otpEmailId: "163840776835432705",
  challengeId: "",
  address: "mini@mouse.com",
  salt: Uint8Array.from({ length: 16 }, (_, i) => i),
};
const other: CodeBinding = {
  ...binding,
  orgId: "org",
  userId: "üser",
  otpEmailId: "1",
  address: "a@b.example",
};

describe("deriveCode", () => {
  // Computed by a second implementation, with Python's hmac module.
  it.each([
    ["the default format", key, binding, crockford8, "YT7HJY9H"],
    ["six digits", key, binding, digits6, "629425"],
    ["the longest format", key, binding, { alphabet: "crockford", length: 12 } as const, "1SBKYT7HJY9H"],
    [
      "another key and salt",
      new Uint8Array(32).fill(255),
      { ...other, salt: new Uint8Array(16) },
      crockford8,
      "KGTCMQM3",
    ],
    [
      "twelve digits",
      new Uint8Array(32).fill(255),
      { ...other, salt: new Uint8Array(16) },
      { alphabet: "digits", length: 12 } as const,
      "188834111107",
    ],
  ])("matches the known answer for %s", (_name, secret, bound, format, code) => {
    expect(deriveCode(secret, bound, format)).toBe(code);
  });

  it.each<[string, Partial<CodeBinding>]>([
    ["organization", { orgId: "demp" }],
    ["user", { userId: "demo-usez" }],
    ["authenticator", { otpEmailId: "163840776835432706" }],
    ["challenge", { challengeId: "1" }],
    ["address", { address: "mini@mouse.org" }],
    ["salt", { salt: new Uint8Array(16) }],
    ["split of the same text into parts", { orgId: "demodemo", userId: "-user" }],
  ])("T10 T11 T12 gives another code for another %s", (_name, change) => {
    expect(deriveCode(key, { ...binding, ...change }, crockford8)).not.toBe("YT7HJY9H");
  });

  it("T39 distributes digits evenly in every place", () => {
    // The chi-square statistic with 9 degrees of freedom exceeds 27.88 once in 1,000 runs. The inputs are fixed, so the test is
    // deterministic.
    const codes = Array.from({ length: 60_000 }, (_, i) =>
      deriveCode(key, { ...binding, otpEmailId: String(i) }, digits6),
    );
    for (let place = 0; place < 6; place++) {
      const count = new Map<string, number>();
      for (const code of codes) count.set(code[place]!, (count.get(code[place]!) ?? 0) + 1);
      expect(count.size).toBe(10);
      const expected = codes.length / 10;
      const chiSquare = [...count.values()].reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
      expect(chiSquare).toBeLessThan(27.88);
    }
    expect(new Set(codes).size).toBeGreaterThan(57_000);
  });
});

describe("normalizeCode", () => {
  it.each<[string, string, CodeFormat, string | undefined]>([
    ["the canonical form", "7QZ4M2KX", crockford8, "7QZ4M2KX"],
    ["lower case", "7qz4m2kx", crockford8, "7QZ4M2KX"],
    ["spaces and dashes", " 7QZ4-M2 KX ", crockford8, "7QZ4M2KX"],
    ["O for 0, I and L for 1", "oOiIlL00", crockford8, "00111100"],
    ["U, which is in no code", "7QZ4M2KU", crockford8, undefined],
    ["too short", "7QZ4M2K", crockford8, undefined],
    ["too long", "7QZ4M2KXX", crockford8, undefined],
    ["empty", "", crockford8, undefined],
    ["only spaces", "        ", crockford8, undefined],
    ["digits", "012345", digits6, "012345"],
    ["T09 one digit", "1", digits6, undefined],
    ["T09 five digits", "12345", digits6, undefined],
    ["T09 seven digits", "1234567", digits6, undefined],
    ["T09 full-width digits", "０１２３４５", digits6, undefined],
    ["T09 a line feed", "123456\n", digits6, undefined],
    ["T09 U+0000", "123456\u0000", digits6, undefined],
    ["T09 exponent", "1e5", digits6, undefined],
    ["T09 hexadecimal", "0x1E240", digits6, undefined],
    ["look-alikes of another alphabet", "O12345", digits6, undefined],
    ["a letter whose upper case is two letters", "ßßßß", crockford8, undefined],
    ["a Kelvin sign instead of K", "7QZ4M2\u212AX", crockford8, undefined],
    ["a tab instead of a space", "7QZ4\tM2KX", crockford8, undefined],
  ])("%s", (_name, typed, format, expected) => {
    expect(normalizeCode(typed, format)).toBe(expected);
  });

  it("returns every derived code as it is", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.constantFrom(crockford8, digits6),
        (secret, format) => {
          const code = deriveCode(secret, binding, format);
          expect(normalizeCode(code, format)).toBe(code);
          expect(normalizeCode(code.toLowerCase().replace(/0/g, "0-"), format)).toBe(code);
        },
      ),
    );
  });
});

describe("codesEqual", () => {
  it.each([
    ["equal", "7QZ4M2KX", "7QZ4M2KX", true],
    ["the last character differs", "7QZ4M2KX", "7QZ4M2KY", false],
    ["a prefix", "7QZ4M2K", "7QZ4M2KX", false],
    ["an empty code", "", "7QZ4M2KX", false],
  ])("%s", (_name, a, b, expected) => {
    expect(codesEqual(a, b)).toBe(expected);
  });
});

describe("codeBits", () => {
  it("returns the number of possible codes in bits", () => {
    expect(codeBits(crockford8)).toBe(40);
    expect(codeBits(digits6)).toBeCloseTo(19.93, 2);
  });
});
