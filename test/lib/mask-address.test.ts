import { describe, expect, it } from "vitest";
import { maskAddress } from "../../src/lib/mask-address.ts";

describe("maskAddress", () => {
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
  ])("masks %j as %j", (address, masked) => {
    expect(maskAddress(address)).toBe(masked);
  });

  it("hides the length of the local part", () => {
    const masked = Array.from({ length: 64 }, (_, i) => maskAddress(`m${"x".repeat(i)}@mouse.com`));
    expect(new Set(masked)).toEqual(new Set(["m***@mouse.com"]));
  });
});
