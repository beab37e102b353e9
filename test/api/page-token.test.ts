import { describe, expect, it } from "vitest";
import { createPageTokens } from "../../src/api/page-token.ts";
import { createKeyRing } from "../../src/otp/codes/keys.ts";

const key = (id: string) => ({ id, secret: Buffer.alloc(32, id) });
const tokens = createPageTokens(createKeyRing([key("a")]));
const scope = ["ListUsers", { state: "active" }, ["o"]];

describe("a page token", () => {
  it("returns its cursor", () => {
    for (const cursor of [["1"], ["o", "u/1 ü%"], ["𝓊".repeat(200), "𝓊".repeat(200)]]) {
      expect(tokens.read(scope, tokens.make(scope, cursor))).toEqual(cursor);
    }
    expect(tokens.read(scope, "")).toBeUndefined();
  });

  it.each([
    ["another method", ["ListOTPEmails", { state: "active" }, ["o"]]],
    ["another filter", ["ListUsers", { state: "locked" }, ["o"]]],
    ["other organizations", ["ListUsers", { state: "active" }, ["o", "p"]]],
  ])("is refused for %s", (_name, other) => {
    expect(() => tokens.read(other, tokens.make(scope, ["1"]))).toThrow(/page_token must be/);
  });

  it("is refused with any character changed, removed or added", () => {
    const token = tokens.make(scope, ["163840776835432705"]);
    const others = [...token].flatMap((c, i) => [
      token.slice(0, i) + (c === "A" ? "B" : "A") + token.slice(i + 1),
      token.slice(0, i) || "A",
    ]);
    others.push(`${token}A`, `${token}=`, ` ${token}`, "x".repeat(100_000), "%", "e30");
    for (const other of others) expect(() => tokens.read(scope, other), other).toThrow(/page_token must be/);
  });

  it("is accepted only by processes that have its key, as the first one or another", () => {
    const token = tokens.make(scope, ["1"]);
    expect(createPageTokens(createKeyRing([key("b"), key("a")])).read(scope, token)).toEqual(["1"]);
    expect(() => createPageTokens(createKeyRing([key("b")])).read(scope, token)).toThrow();
    const impostor = createPageTokens(createKeyRing([{ id: "a", secret: Buffer.alloc(32, "b") }]));
    expect(() => impostor.read(scope, token)).toThrow();
  });
});
