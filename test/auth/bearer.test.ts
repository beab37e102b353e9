import { describe, expect, test } from "vitest";
import { bearerChallenge, bearerToken, tokenCharsMax } from "../../src/auth/bearer.ts";
import { Refusal } from "../../src/lib/refusal.ts";

describe("bearerToken", () => {
  test.each([
    ["three parts", "Bearer abc.def.ghi", "abc.def.ghi"],
    ["all characters of b64token", "Bearer aZ09-._~+/==", "aZ09-._~+/=="],
    ["a scheme in lower case", "bearer abc", "abc"],
    ["a scheme in upper case", "BEARER abc", "abc"],
    ["several spaces before the token", "Bearer    abc", "abc"],
    ["surrounding whitespace", "  Bearer abc  ", "abc"],
    ["the maximum length", `Bearer ${"a".repeat(tokenCharsMax)}`, "a".repeat(tokenCharsMax)],
  ])("returns a token with %s", (_, value, token) => {
    expect(bearerToken(new Headers({ authorization: value }))).toBe(token);
  });

  test.each([
    ["no header", undefined, "TOKEN_MISSING"],
    ["an empty header", "", "TOKEN_MISSING"],
    ["another scheme", "Basic YTpi", "TOKEN_MISSING"],
    ["a scheme that starts with Bearer", "BearerX abc", "TOKEN_MISSING"],
    ["a token without a scheme", "abc.def.ghi", "TOKEN_MISSING"],
    ["a scheme without a token", "Bearer", "TOKEN_INVALID"],
    ["a scheme and a space only", "Bearer ", "TOKEN_INVALID"],
    ["padding only", "Bearer ==", "TOKEN_INVALID"],
    ["padding in the middle", "Bearer a=b", "TOKEN_INVALID"],
    ["a tab instead of the space", "Bearer\tabc", "TOKEN_INVALID"],
    ["two tokens", "Bearer abc def", "TOKEN_INVALID"],
    ["a comma", "Bearer abc,def", "TOKEN_INVALID"],
    ["quotes", 'Bearer "abc"', "TOKEN_INVALID"],
    ["a non-ASCII letter", "Bearer ab\u00e9", "TOKEN_INVALID"],
    ["a percent sign", "Bearer a%20b", "TOKEN_INVALID"],
    ["more than 16 KiB", `Bearer ${"a".repeat(tokenCharsMax + 1)}`, "TOKEN_INVALID"],
  ])("refuses %s", (_, value, reason) => {
    expect(reasonFor(new Headers(value === undefined ? {} : { authorization: value }))).toBe(reason);
  });

  test.each([
    ["two tokens", ["Bearer abc", "Bearer def"]],
    ["the same token twice", ["Bearer abc", "Bearer abc"]],
    ["a token and another scheme", ["Bearer abc", "Basic YTpi"]],
    ["an empty value and a token", ["Bearer", "Bearer abc"]],
  ])("refuses several Authorization headers: %s", (_, values) => {
    const headers = new Headers();
    for (const value of values) headers.append("authorization", value);
    expect(reasonFor(headers)).toBe("TOKEN_INVALID");
  });

  // RFC 6750 §2.3
  test("ignores a token in the query", () => {
    const request = new Request("http://countersign.example/v3alpha/users?access_token=abc");
    expect(reasonFor(request.headers)).toBe("TOKEN_MISSING");
  });

  test("does not quote the header in its error", () => {
    const error = errorFor(new Headers({ authorization: "Bearer top secret" }));
    expect(error.message).not.toContain("secret");
  });
});

describe("bearerChallenge", () => {
  test("has no error code without credentials", () => {
    expect(bearerChallenge("countersign")).toBe('Bearer realm="countersign"');
  });

  test("names the error of a refused token", () => {
    expect(bearerChallenge("countersign", "invalid_token")).toBe(
      'Bearer realm="countersign", error="invalid_token"',
    );
  });

  test("quotes the realm (RFC 9110 §5.6.4)", () => {
    expect(bearerChallenge('a "b" \\ c')).toBe('Bearer realm="a \\"b\\" \\\\ c"');
  });
});

function reasonFor(headers: Headers): string | undefined {
  return errorFor(headers).reason;
}

function errorFor(headers: Headers): Refusal {
  try {
    bearerToken(headers);
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("no error was thrown");
}
