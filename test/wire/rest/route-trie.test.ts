import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parsePathTemplate } from "../../../src/wire/rest/path-template.ts";
import { RouteTrie } from "../../../src/wire/rest/route-trie.ts";

/** A trie of routes such as `GET /users/{id}`. */
function trieOf(...routes: string[]): RouteTrie<string> {
  const trie = new RouteTrie<string>();
  for (const route of routes) {
    const [method = "", template = ""] = route.split(" ");
    trie.add(method, parsePathTemplate(template), route, (other) => other);
  }
  return trie;
}

/** The route, or the methods that are allowed, or nothing. */
function find(trie: RouteTrie<string>, method: string, path: string): string | readonly string[] | undefined {
  const found = trie.find(method, path);
  if (found.kind === "match") return found.route;
  return found.kind === "method_not_allowed" ? found.allow : undefined;
}

describe("a route is found", () => {
  const all = trieOf(
    "GET /a/b/c",
    "GET /a/b/*",
    "GET /a/*/c",
    "GET /a/**",
    "GET /%2A/b",
    "GET /x/**:go",
    "GET /x/{id}",
    "POST /x/{id}:stop",
    "GET /y/{id}:%2F",
    "* /z/{id}",
    "POST /z/{id}",
  );

  it.each([
    ["a literal before a wildcard", "/a/b/c", "GET /a/b/c"],
    ["the first segment decides", "/a/b/d", "GET /a/b/*"],
    ["a wildcard before **", "/a/d/c", "GET /a/*/c"],
    ["** where the literal leads nowhere", "/a/b/c/d", "GET /a/**"],
    ["** of no segment", "/a", "GET /a/**"],
    ["** of the empty segment behind a slash at the end", "/a/", "GET /a/**"],
    ["a literal star", "/*/b", "GET /%2A/b"],
    ["an encoded literal star", "/%2a/b", "GET /%2A/b"],
    ["a verb before a more literal route without it", "/x/1:go", "GET /x/**:go"],
    ["a verb behind the last colon", "/x/1:2:go", "GET /x/**:go"],
    ["a verb that nobody has is a part of the segment", "/x/1:fly", "GET /x/{id}"],
    ["an empty verb is a part of the segment", "/x/1:", "GET /x/{id}"],
    ["an encoded colon starts no verb", "/x/1%3Ago", "GET /x/{id}"],
    ["an encoded verb", "/y/1:%2f", "GET /y/{id}:%2F"],
    ["what cannot be decoded is for the one who binds it", "/x/%zz", "GET /x/{id}"],
  ])("%s: %s", (_what, path, route) => {
    expect(find(all, "GET", path)).toBe(route);
  });

  it("for any method, after those of the method itself", () => {
    expect(find(all, "POST", "/z/1")).toBe("POST /z/{id}");
    expect(find(all, "PURGE", "/z/1")).toBe("* /z/{id}");
  });
});

describe("no route is found", () => {
  const all = trieOf("GET /a/{id}", "GET /b/**", "GET /*/c", "GET /%25zz");

  it.each([
    ["an empty segment", "/a/"],
    ["an empty segment in the middle", "//c"],
    ["empty segments in **", "/b//c"],
    ["an empty segment at the end of **", "/b/c/"],
    ["no slash at the start", "a/1"],
    ["the absolute form", "http://x/a/1"],
    ["the asterisk form", "*"],
    ["nothing", ""],
    ["the root", "/"],
    ["a dot segment", "/a/."],
    ["a dot segment that is followed", "/a/../c"],
    ["an encoded dot segment", "/a/%2e%2E"],
    ["a dot segment in **", "/b/c/../d"],
    ["another case", "/A/1"],
    ["one segment more", "/a/1/2"],
    ["an encoded slash between literals", "/a%2F1"],
    ["a literal by an encoding that is none", "/%zz"],
  ])("for %s: %s", (_what, path) => {
    expect(find(all, "GET", path)).toBeUndefined();
  });

  it("for a dot segment before a verb", () => {
    expect(find(trieOf("GET /a/{id}:go"), "GET", "/a/..:go")).toBeUndefined();
  });
});

describe("the methods that are allowed", () => {
  const all = trieOf("GET /a/{id}", "POST /a/b", "DELETE /a/{id}:undo", "PUT /a/{id}:undo");

  it.each([
    ["are those of every route of the path", "PATCH", "/a/b", ["GET", "POST"]],
    ["are told to other spellings of a method", "get", "/a/1", ["GET"]],
    ["leave out those of other paths", "POST", "/a/1", ["GET"]],
    ["are those of the verb, if it is one of any method", "GET", "/a/1:undo", ["DELETE", "PUT"]],
  ])("%s: %s %s", (_what, method, path, allow) => {
    expect(find(all, method, path)).toEqual(allow);
  });

  it("matter only where no route of the method fits", () => {
    expect(find(all, "GET", "/a/b")).toBe("GET /a/{id}");
  });
});

describe("two routes of one shape", () => {
  it.each([
    ["GET /a/{x}", "GET /a/{y=*}"],
    ["GET /a/{x}", "GET /a/*"],
    ["GET /{x=a/*}/b", "GET /a/{x}/b"],
    ["GET /a:go", "GET /a:%67o"],
    ["GET /a%2Db", "GET /a-b"],
    ["GET /{x=**}", "GET /**"],
  ])("are refused by both names: %s, %s", (one, other) => {
    expect(() => trieOf(one, other)).toThrow(`${other} and ${one} have the same path`);
  });

  it("are two routes if method, verb or a wildcard differ", () => {
    expect(() =>
      trieOf("GET /a/*", "POST /a/*", "* /a/*", "GET /a/*:go", "GET /a/**", "GET /a/%2A", "GET /*/*"),
    ).not.toThrow();
  });
});

it("a search is bounded by the routes, whatever the path", () => {
  const shapes = Array.from({ length: 1 << 10 }, (_, bits) =>
    Array.from({ length: 10 }, (_, i) => (bits & (1 << i) ? "*" : "a")).join("/"),
  );
  const trie = trieOf(...shapes.map((shape) => `GET /${shape}`));
  expect(find(trie, "GET", `/${"a/".repeat(9)}a`)).toBe(`GET /${"a/".repeat(9)}a`);
  expect(find(trie, "GET", `/${"a/".repeat(10_000)}a`)).toBeUndefined();
  expect(find(trie, "GET", `/${":".repeat(10_000)}`)).toBeUndefined();
});

it("any path is answered", () => {
  const trie = trieOf("GET /a/{id}", "POST /a/**", "GET /{x=*/b/**}:go");
  const piece = fc.constantFrom("/", "a", "b", ":", "go", "%", "%2F", "%zz", "..", "", "\0", "é");
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const found = trie.find("GET", pieces.join(""));
      if (found.kind === "match") expect(pieces.join("")).toContain(found.segments.join("/"));
    }),
  );
});
