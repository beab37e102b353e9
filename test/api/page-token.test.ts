import { describe, expect, it } from "vitest";
import { createPageTokens } from "../../src/api/page-token.ts";
import { createKeyRing } from "../../src/otp/codes/keys.ts";

const key = (id: string) => ({ id, secret: Buffer.alloc(32, id) });
const tokens = createPageTokens(createKeyRing([key("a")]));
const list = ["ListUsers", { state: "active" }, ["o"]];

describe("a page token", () => {
  it("leads back to where the page ended", () => {
    for (const cursor of [["1"], ["o", "u/1 ü%"], ["𝓊".repeat(200), "𝓊".repeat(200)]]) {
      expect(tokens.read(list, tokens.make(list, cursor))).toEqual(cursor);
    }
    expect(tokens.read(list, "")).toBeUndefined();
  });

  it.each([
    ["another method", ["ListOTPEmails", { state: "active" }, ["o"]]],
    ["another filter", ["ListUsers", { state: "locked" }, ["o"]]],
    ["another scope", ["ListUsers", { state: "active" }, ["o", "p"]]],
  ])("is refused for %s", (_name, other) => {
    expect(() => tokens.read(other, tokens.make(list, ["1"]))).toThrow(/page_token must be/);
  });

  it("is refused with any character changed, cut off or added", () => {
    const token = tokens.make(list, ["163840776835432705"]);
    const others = [...token].flatMap((c, i) => [
      token.slice(0, i) + (c === "A" ? "B" : "A") + token.slice(i + 1),
      token.slice(0, i) || "A",
    ]);
    others.push(`${token}A`, `${token}=`, ` ${token}`, "x".repeat(100_000), "%", "e30");
    for (const other of others) expect(() => tokens.read(list, other), other).toThrow(/page_token must be/);
  });

  it("is read by a process that has the key, whichever of its keys it is, and by no other", () => {
    const token = tokens.make(list, ["1"]);
    expect(createPageTokens(createKeyRing([key("b"), key("a")])).read(list, token)).toEqual(["1"]);
    expect(() => createPageTokens(createKeyRing([key("b")])).read(list, token)).toThrow();
    const impostor = createPageTokens(createKeyRing([{ id: "a", secret: Buffer.alloc(32, "b") }]));
    expect(() => impostor.read(list, token)).toThrow();
  });
});
