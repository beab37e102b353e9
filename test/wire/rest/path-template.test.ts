import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { captureOf, parsePathTemplate, percentDecode } from "../../../src/wire/rest/path-template.ts";

describe("a template is parsed", () => {
  it.each([
    ["a literal alone", "/v1", ["v1"], "", []],
    ["a variable without a template is of one segment", "/{_a1}", ["*"], "", [["_a1", 0, 1]]],
    ["a variable of one literal", "/{a=b}", ["b"], "", [["a", 0, 1]]],
    ["a variable that ends in ** is open", "/a/{b.c=d/**}", ["a", "d", "**"], "", [["b.c", 1, -1]]],
    ["unreserved characters", "/-._~", ["-._~"], "", []],
    ["percent-encoded reserved characters", "/a%2Fb%3ac", ["a/b:c"], "", []],
    ["an encoded star is no wildcard", "/%2A/%2a%2A", ["%2A", "%2A%2A"], "", []],
    ["an encoded percent sign stays one", "/%252A", ["%252A"], "", []],
    ["characters beyond ASCII", "/%E4%B8%96", ["世"], "", []],
    ["an encoded verb", "/a:%2c", ["a"], ",", []],
    ["a verb behind a variable", "/{a=b/*}:c-d", ["b", "*"], "c-d", [["a", 0, 2]]],
  ])("%s: %s", (_what, template, segments, verb, variables) => {
    expect(parsePathTemplate(template)).toEqual({
      segments,
      verb,
      variables: variables.map(([path, start, end]) => ({ path, start, end })),
    });
  });
});

describe("a template is refused", () => {
  it.each([
    ["nothing", "", '"/" is expected at column 1'],
    ["no slash at the start", "v1", '"/" is expected at column 1'],
    ["a slash at the end", "/v1/", "a literal, * or ** is expected at column 5"],
    ["two slashes", "/v1//a", "a literal, * or ** is expected at column 5"],
    ["a reserved character", "/a@b", "the end is expected at column 3"],
    ["a character beyond ASCII", "/世", "a literal, * or ** is expected at column 2"],
    ["half an escape", "/a%2", "the end is expected at column 3"],
    ["an escape that is no UTF-8", "/a/%ff", "the percent-encoding is not text in UTF-8 at column 4"],
    ["U+0000", "/a/%00", "the percent-encoding is not text in UTF-8 at column 4"],
    ["a segment behind **", "/**/a", 'nothing may follow "**" at column 5'],
    ["a variable behind **", "/{a=**}/{b}", 'nothing may follow "**" at column 11'],
    ["a segment behind ** in a variable", "/{a=**/b}", 'nothing may follow "**" at column 8'],
    ["three stars", "/***", "the end is expected at column 4"],
    ["a variable in a variable", "/{a={b}}", "a literal, * or ** is expected at column 5"],
    ["a variable without a name", "/{=a}", "a field path is expected at column 3"],
    ["a name that starts with a digit", "/{1a}", "a field path is expected at column 3"],
    ["an empty part of a name", "/{a..b}", '"}" is expected at column 4'],
    ["a variable that is not closed", "/{a=b", '"}" is expected at column 6'],
    ["a verb in a variable", "/{a=b:c}", '"}" is expected at column 6'],
    ["text behind a variable", "/{a}b", "the end is expected at column 5"],
    ["a field that is bound twice", "/{a}/{a}", "the field a is bound twice at column 8"],
    ["an empty verb", "/a:", "a verb is expected at column 4"],
    ["two verbs", "/a:b:c", "the end is expected at column 5"],
    ["a segment behind the verb", "/a:b/c", "the end is expected at column 5"],
    ["a query", "/a?b=c", "the end is expected at column 3"],
  ])("for %s: %s", (_what, template, problem) => {
    expect(() => parsePathTemplate(template)).toThrow(
      `path template ${JSON.stringify(template)}: ${problem}`,
    );
  });

  it("in a time that grows with its length alone", () => {
    expect(() => parsePathTemplate(`/${"a".repeat(100_000)}{`)).toThrow(/column 100002$/);
    expect(() => parsePathTemplate(`/{${"a.".repeat(50_000)}}`)).toThrow(/column 100002$/);
  });
});

describe("a capture", () => {
  const one = { path: "a", start: 1, end: 2 };
  const several = { path: "a", start: 0, end: 2 };
  const open = { path: "a", start: 1, end: -1 };

  it.each([
    ["of one segment is decoded fully", one, ["x", "a%2Fb%25"], "a/b%"],
    ["of one segment is decoded once", one, ["x", "%252F"], "%2F"],
    ["keeps a plus", one, ["x", "a+b"], "a+b"],
    ["of several segments keeps encoded slashes as they are", several, ["a%2Fb", "c%2fd%20"], "a%2Fb/c%2fd "],
    ["that is open keeps an encoded slash in a single segment", open, ["x", "a%2Fb"], "a%2Fb"],
    ["that is open can be empty", open, ["x"], ""],
    ["that is open takes all that is left", open, ["x", "y", "z"], "y/z"],
    ["of an encoding that breaks off is none", one, ["x", "%4"], undefined],
    ["of overlong UTF-8 is none", one, ["x", "%C0%AF"], undefined],
    ["of an encoded surrogate is none", one, ["x", "%ED%A0%80"], undefined],
    ["of a character that an encoded slash breaks up is none", several, ["%E4%2F%B8", "x"], undefined],
    ["of U+0000 is none", several, ["a", "%00"], undefined],
    ["of a byte beyond ASCII is none", one, ["x", "\xe4"], undefined],
    ["of a space is none", one, ["x", "a b"], undefined],
  ])("%s", (_what, variable, segments, text) => {
    expect(captureOf(variable, segments)).toBe(text);
  });

  it("of one segment is what was encoded", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        fc.pre(text.isWellFormed() && !text.includes("\0"));
        expect(percentDecode(encodeURIComponent(text))).toBe(text);
      }),
    );
  });
});
