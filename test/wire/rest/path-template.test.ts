import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { captureOf, parsePathTemplate, percentDecode } from "../../../src/wire/rest/path-template.ts";
import { codePoint } from "../../support/wire/code-point.ts";

describe("parsePathTemplate parses", () => {
  it.each([
    ["literals", "/v1/shelves", ["v1", "shelves"], "", []],
    ["a variable", "/v1/{name}", ["v1", "*"], "", [["name", 1, 2]]],
    [
      "a variable of several segments",
      "/v1/{name=shelves/*/books/*}",
      ["v1", "shelves", "*", "books", "*"],
      "",
      [["name", 1, 5]],
    ],
    [
      "segments and a verb after a variable",
      "/v1/{parent=shelves/*}/books:search",
      ["v1", "shelves", "*", "books"],
      "search",
      [["parent", 1, 3]],
    ],
    ["a nested field", "/v1/{book.name=**}", ["v1", "**"], "", [["book.name", 1, -1]]],
    [
      "two variables",
      "/{a}/{b}:verb",
      ["*", "*"],
      "verb",
      [
        ["a", 0, 1],
        ["b", 1, 2],
      ],
    ],
    ["an encoded space", "/a%20b/*", ["a b", "*"], "", []],
    ["** on its own", "/**", ["**"], "", []],
    ["a single literal", "/v1", ["v1"], "", []],
    ["a variable without a pattern as one segment", "/{_a1}", ["*"], "", [["_a1", 0, 1]]],
    ["a variable of one literal", "/{a=b}", ["b"], "", [["a", 0, 1]]],
    ["a variable that ends in ** as open-ended", "/a/{b.c=d/**}", ["a", "d", "**"], "", [["b.c", 1, -1]]],
    ["unreserved characters", "/-._~", ["-._~"], "", []],
    ["percent-encoded reserved characters", "/a%2Fb%3ac", ["a/b:c"], "", []],
    ["an encoded star as a literal", "/%2A/%2a%2A", ["%2A", "%2A%2A"], "", []],
    ["an encoded percent sign as a literal", "/%252A", ["%252A"], "", []],
    ["encoded non-ASCII characters", "/%E4%B8%96", ["世"], "", []],
    ["an encoded verb", "/a:%2c", ["a"], ",", []],
    ["a verb after a variable", "/{a=b/*}:c-d", ["b", "*"], "c-d", [["a", 0, 2]]],
  ])("%s: %s", (_what, template, segments, verb, variables) => {
    expect(parsePathTemplate(template)).toEqual({
      segments,
      verb,
      variables: variables.map(([path, start, end]) => ({ path, start, end })),
    });
  });
});

describe("parsePathTemplate rejects", () => {
  it.each([
    ["a slash only", "/", "a literal, * or ** is expected at column 2"],
    ["two slashes before a segment", "/v1//x", "a literal, * or ** is expected at column 5"],
    ["an empty variable", "/v1/{}", "a field path is expected at column 6"],
    ["a variable that is not closed", "/v1/{name", '"}" is expected at column 10'],
    ["a variable with an empty pattern", "/v1/{name=}", "a literal, * or ** is expected at column 11"],
    ["a field name that starts with a digit", "/v1/{1name}", "a field path is expected at column 6"],
    ["a nested variable", "/v1/{a={b}}", "a literal, * or ** is expected at column 8"],
    ["a literal after **", "/**/x", 'nothing may follow "**" at column 5'],
    ["a colon without a verb", "/x:", "a verb is expected at column 4"],
    ["a second colon", "/x:y:z", "the end is expected at column 5"],
    ["a space", "/x y", "the end is expected at column 3"],
    ["a question mark", "/x?y", "the end is expected at column 3"],
    ["an invalid escape", "/%zz", "a literal, * or ** is expected at column 2"],
    ["an empty template", "", '"/" is expected at column 1'],
    ["a missing slash at the start", "v1", '"/" is expected at column 1'],
    ["a slash at the end", "/v1/", "a literal, * or ** is expected at column 5"],
    ["two slashes", "/v1//a", "a literal, * or ** is expected at column 5"],
    ["a reserved character", "/a@b", "the end is expected at column 3"],
    ["a non-ASCII character", "/世", "a literal, * or ** is expected at column 2"],
    ["a truncated escape", "/a%2", "the end is expected at column 3"],
    ["invalid UTF-8", "/a/%ff", "the percent-encoding is not valid UTF-8 at column 4"],
    ["U+0000", "/a/%00", "the percent-encoding is not valid UTF-8 at column 4"],
    ["a segment after **", "/**/a", 'nothing may follow "**" at column 5'],
    ["a variable after **", "/{a=**}/{b}", 'nothing may follow "**" at column 11'],
    ["a segment after ** in a variable", "/{a=**/b}", 'nothing may follow "**" at column 8'],
    ["three stars", "/***", "the end is expected at column 4"],
    ["a variable in a variable", "/{a={b}}", "a literal, * or ** is expected at column 5"],
    ["a variable without a name", "/{=a}", "a field path is expected at column 3"],
    ["a name that starts with a digit", "/{1a}", "a field path is expected at column 3"],
    ["an empty part of a name", "/{a..b}", '"}" is expected at column 4'],
    ["a variable with a pattern that is not closed", "/{a=b", '"}" is expected at column 6'],
    ["a verb in a variable", "/{a=b:c}", '"}" is expected at column 6'],
    ["text after a variable", "/{a}b", "the end is expected at column 5"],
    ["a field that is bound twice", "/{a}/{a}", "the field a is bound twice at column 8"],
    ["an empty verb", "/a:", "a verb is expected at column 4"],
    ["two verbs", "/a:b:c", "the end is expected at column 5"],
    ["a segment after the verb", "/a:b/c", "the end is expected at column 5"],
    ["a query", "/a?b=c", "the end is expected at column 3"],
  ])("%s: %s", (_what, template, problem) => {
    expect(() => parsePathTemplate(template)).toThrow(
      `path template ${JSON.stringify(template)}: ${problem}`,
    );
  });

  it("long templates in linear time", () => {
    expect(() => parsePathTemplate(`/${"a".repeat(100_000)}{`)).toThrow(/column 100002$/);
    expect(() => parsePathTemplate(`/{${"a.".repeat(50_000)}}`)).toThrow(/column 100002$/);
  });
});

describe("the value of a variable", () => {
  const one = { path: "a", start: 1, end: 2 };
  const several = { path: "a", start: 0, end: 2 };
  const open = { path: "a", start: 1, end: -1 };

  it.each([
    ["of one segment is decoded completely", one, ["x", "a%2Fb%25"], "a/b%"],
    ["of one segment is decoded once", one, ["x", "%252F"], "%2F"],
    ["keeps a plus", one, ["x", "a+b"], "a+b"],
    ["of several segments keeps encoded slashes", several, ["a%2Fb", "c%2fd%20"], "a%2Fb/c%2fd "],
    ["that ends in ** keeps an encoded slash, even in a single segment", open, ["x", "a%2Fb"], "a%2Fb"],
    ["that ends in ** can be empty", open, ["x"], ""],
    ["that ends in ** takes all remaining segments", open, ["x", "y", "z"], "y/z"],
    ["is undefined for a truncated escape", one, ["x", "%4"], undefined],
    ["is undefined for overlong UTF-8", one, ["x", "%C0%AF"], undefined],
    ["is undefined for an encoded surrogate", one, ["x", "%ED%A0%80"], undefined],
    ["is undefined for a character split by an encoded slash", several, ["%E4%2F%B8", "x"], undefined],
    ["is undefined for U+0000", several, ["a", "%00"], undefined],
    ["is undefined for a non-ASCII byte", one, ["x", "\xe4"], undefined],
    ["is undefined for a space", one, ["x", "a b"], undefined],
  ])("%s", (_what, variable, segments, text) => {
    expect(captureOf(variable, segments)).toBe(text);
  });

  it("of one segment is the text that was encoded", () => {
    fc.assert(
      fc.property(fc.string({ unit: codePoint }), (text) => {
        fc.pre(!text.includes("\0"));
        expect(percentDecode(encodeURIComponent(text))).toBe(text);
      }),
    );
  });
});
