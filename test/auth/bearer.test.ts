import { describe, expect, test } from "vitest";
import { bearerChallenge, bearerToken, tokenCharsMax } from "../../src/auth/bearer.ts";
import { Refusal } from "../../src/lib/refusal.ts";

describe("takes the token of", () => {
  test.each([
    ["the common case", "Bearer abc.def.ghi", "abc.def.ghi"],
    ["every character of b64token", "Bearer aZ09-._~+/==", "aZ09-._~+/=="],
    ["a scheme in lower case", "bearer abc", "abc"],
    ["a scheme in upper case", "BEARER abc", "abc"],
    ["several spaces before the token", "Bearer    abc", "abc"],
    ["space around the value", "  Bearer abc  ", "abc"],
    ["the longest token", `Bearer ${"a".repeat(tokenCharsMax)}`, "a".repeat(tokenCharsMax)],
  ])("%s", (_, value, token) => {
    expect(bearerToken(new Headers({ authorization: value }))).toBe(token);
  });
});

describe("refuses", () => {
  test.each([
    ["no header", undefined, "TOKEN_MISSING"],
    ["an empty header", "", "TOKEN_MISSING"],
    ["another scheme", "Basic YTpi", "TOKEN_MISSING"],
    ["a scheme that begins alike", "BearerX abc", "TOKEN_MISSING"],
    ["a token without a scheme", "abc.def.ghi", "TOKEN_MISSING"],
    ["a scheme without a token", "Bearer", "TOKEN_INVALID"],
    ["a scheme and a space", "Bearer ", "TOKEN_INVALID"],
    ["padding alone", "Bearer ==", "TOKEN_INVALID"],
    ["padding within", "Bearer a=b", "TOKEN_INVALID"],
    ["a tab for the space", "Bearer\tabc", "TOKEN_INVALID"],
    ["two tokens", "Bearer abc def", "TOKEN_INVALID"],
    ["a comma", "Bearer abc,def", "TOKEN_INVALID"],
    ["quotes", 'Bearer "abc"', "TOKEN_INVALID"],
    ["a letter outside ASCII", "Bearer ab\u00e9", "TOKEN_INVALID"],
    ["a percent sign", "Bearer a%20b", "TOKEN_INVALID"],
    ["more than 16 KiB", `Bearer ${"a".repeat(tokenCharsMax + 1)}`, "TOKEN_INVALID"],
  ])("%s", (_, value, reason) => {
    expect(reasonFor(new Headers(value === undefined ? {} : { authorization: value }))).toBe(reason);
  });

  test.each([
    ["two tokens", ["Bearer abc", "Bearer def"]],
    ["the same token twice", ["Bearer abc", "Bearer abc"]],
    ["a token and another scheme", ["Bearer abc", "Basic YTpi"]],
    ["an empty value and a token", ["Bearer", "Bearer abc"]],
  ])("several Authorization headers: %s", (_, values) => {
    const headers = new Headers();
    for (const value of values) headers.append("authorization", value);
    expect(reasonFor(headers)).toBe("TOKEN_INVALID");
  });

  // RFC 6750 §2.3
  test("a token in the query", () => {
    const request = new Request("http://countersign.example/v3alpha/users?access_token=abc");
    expect(reasonFor(request.headers)).toBe("TOKEN_MISSING");
  });

  test("without quoting what was sent", () => {
    const error = errorFor(new Headers({ authorization: "Bearer top secret" }));
    expect(error.message).not.toContain("secret");
  });
});

describe("the challenge", () => {
  test("has no error code when no credentials were sent", () => {
    expect(bearerChallenge("countersign")).toBe('Bearer realm="countersign"');
  });

  test("names the error of a token that was refused", () => {
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
  throw new Error("a token was found");
}
