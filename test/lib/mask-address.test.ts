import { describe, expect, it } from "vitest";
import { maskAddress } from "../../src/lib/mask-address.ts";

describe("a masked address", () => {
  it.each([
    ["mini@mouse.com", "m***@mouse.com"],
    ["a-very-long-local-part.indeed@mouse.com", "a***@mouse.com"],
    ["m@mouse.com", "m***@mouse.com"],
    ["+@mouse.com", "+***@mouse.com"],
    ["mini@bücher.example", "m***@bücher.example"],
    ["δοκιμή@παράδειγμα.δοκιμή", "δ***@παράδειγμα.δοκιμή"],
    ["𝓂ini@mouse.com", "𝓂***@mouse.com"],
    ['"a@b"@mouse.com', '"***@mouse.com'],
    ["@mouse.com", "***"],
    ["mouse.com", "***"],
    ["", "***"],
  ])("of %j is %j", (address, masked) => {
    expect(maskAddress(address)).toBe(masked);
  });

  it("is the same for local parts of any length", () => {
    const masked = Array.from({ length: 64 }, (_, i) => maskAddress(`m${"x".repeat(i)}@mouse.com`));
    expect(new Set(masked)).toEqual(new Set(["m***@mouse.com"]));
  });
});
