import { describe, expect, it } from "vitest";
import { isId, makeId } from "../../../src/db/core/id.ts";

describe("makeId", () => {
  it("makes distinct, ordered, positive 63-bit integers", () => {
    const now = Date.parse("2026-11-23T09:00:00Z");
    const ids = Array.from({ length: 20_000 }, (_, i) => makeId(now + Math.floor(i / 10_000)));
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.map(BigInt)).toEqual(ids.map(BigInt).sort((a, b) => (a < b ? -1 : 1)));
    for (const id of [ids[0]!, ids.at(-1)!]) expect(isId(id)).toBe(true);
  });

  it("keeps ids ordered when the clock is set back", () => {
    const first = makeId(Date.parse("2026-11-23T10:00:00Z"));
    const second = makeId(Date.parse("2026-11-23T09:00:00Z"));
    expect(BigInt(second) > BigInt(first)).toBe(true);
  });
});

describe("isId", () => {
  it.each([
    ["163840776835432705", true],
    ["9223372036854775807", true],
    ["9223372036854775808", false],
    ["0", false],
    ["01", false],
    ["-1", false],
    [" 1", false],
    ["1 ", false],
    ["1e3", false],
    ["1.0", false],
    ["0x10", false],
    ["", false],
    ["１", false],
    ["1".repeat(200), false],
  ])("of %j is %s", (text, expected) => {
    expect(isId(text)).toBe(expected);
  });
});
