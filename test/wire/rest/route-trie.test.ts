import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parsePathTemplate } from "../../../src/wire/rest/path-template.ts";
import { RouteTrie } from "../../../src/wire/rest/route-trie.ts";

/** Creates a trie of routes such as `GET /users/{id}`. */
function trieOf(...routes: string[]): RouteTrie<string> {
  const trie = new RouteTrie<string>();
  for (const route of routes) {
    const [method = "", template = ""] = route.split(" ");
    trie.add(method, parsePathTemplate(template), route, (other) => other);
  }
  return trie;
}

/** Returns the route, the allowed methods, or undefined. */
function find(trie: RouteTrie<string>, method: string, path: string): string | readonly string[] | undefined {
  const found = trie.find(method, path);
  if (found.kind === "match") return found.route;
  return found.kind === "method_not_allowed" ? found.allow : undefined;
}

describe("find prefers", () => {
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
    ["a literal to a wildcard", "/a/b/c", "GET /a/b/c"],
    ["a literal in an earlier segment", "/a/b/d", "GET /a/b/*"],
    ["a wildcard to **", "/a/d/c", "GET /a/*/c"],
    ["** if the literal has no match", "/a/b/c/d", "GET /a/**"],
    ["** for no segment", "/a", "GET /a/**"],
    ["** for the empty segment after a trailing slash", "/a/", "GET /a/**"],
    ["a literal star to a wildcard", "/*/b", "GET /%2A/b"],
    ["an encoded literal star", "/%2a/b", "GET /%2A/b"],
    ["a verb to a more literal route without one", "/x/1:go", "GET /x/**:go"],
    ["the verb after the last colon", "/x/1:2:go", "GET /x/**:go"],
    ["the whole segment to an unknown verb", "/x/1:fly", "GET /x/{id}"],
    ["the whole segment to an empty verb", "/x/1:", "GET /x/{id}"],
    ["the whole segment if its colon is encoded", "/x/1%3Ago", "GET /x/{id}"],
    ["a verb, also if it is encoded", "/y/1:%2f", "GET /y/{id}:%2F"],
    ["a wildcard for an invalid encoding", "/x/%zz", "GET /x/{id}"],
  ])("%s: %s", (_what, path, route) => {
    expect(find(all, "GET", path)).toBe(route);
  });

  it("a route of the method to one for all methods", () => {
    expect(find(all, "POST", "/z/1")).toBe("POST /z/{id}");
    expect(find(all, "PURGE", "/z/1")).toBe("* /z/{id}");
  });
});

describe("find returns nothing", () => {
  const all = trieOf("GET /a/{id}", "GET /b/**", "GET /*/c", "GET /%25zz");

  it.each([
    ["an empty segment", "/a/"],
    ["an empty segment in the middle", "//c"],
    ["empty segments in **", "/b//c"],
    ["an empty segment at the end of **", "/b/c/"],
    ["no slash at the start", "a/1"],
    ["the absolute form", "http://x/a/1"],
    ["the asterisk form", "*"],
    ["an empty path", ""],
    ["the root", "/"],
    ["a dot segment", "/a/."],
    ["a dot segment in the middle", "/a/../c"],
    ["an encoded dot segment", "/a/%2e%2E"],
    ["a dot segment in **", "/b/c/../d"],
    ["another case", "/A/1"],
    ["an extra segment", "/a/1/2"],
    ["an encoded slash between literals", "/a%2F1"],
    ["an invalid encoding of a literal", "/%zz"],
  ])("for %s: %s", (_what, path) => {
    expect(find(all, "GET", path)).toBeUndefined();
  });

  it("for a dot segment before a verb", () => {
    expect(find(trieOf("GET /a/{id}:go"), "GET", "/a/..:go")).toBeUndefined();
  });
});

describe("allowed methods", () => {
  const all = trieOf("GET /a/{id}", "POST /a/b", "DELETE /a/{id}:undo", "PUT /a/{id}:undo");

  it.each([
    ["are those of every route of the path", "PATCH", "/a/b", ["GET", "POST"]],
    ["are returned for a method in lower case", "get", "/a/1", ["GET"]],
    ["do not include those of other paths", "POST", "/a/1", ["GET"]],
    ["are those of the verb, if any method has it", "GET", "/a/1:undo", ["DELETE", "PUT"]],
  ])("%s: %s %s", (_what, method, path, allow) => {
    expect(find(all, method, path)).toEqual(allow);
  });

  it("are only returned if the method has no route", () => {
    expect(find(all, "GET", "/a/b")).toBe("GET /a/{id}");
  });
});

describe("two routes", () => {
  it.each([
    ["GET /a/{x}", "GET /a/{y=*}"],
    ["GET /a/{x}", "GET /a/*"],
    ["GET /{x=a/*}/b", "GET /a/{x}/b"],
    ["GET /a:go", "GET /a:%67o"],
    ["GET /a%2Db", "GET /a-b"],
    ["GET /{x=**}", "GET /**"],
  ])("are rejected if they have the same shape: %s, %s", (one, other) => {
    expect(() => trieOf(one, other)).toThrow(`${other} and ${one} have the same path`);
  });

  it("have different shapes if method, verb or a wildcard differs", () => {
    expect(() =>
      trieOf("GET /a/*", "POST /a/*", "* /a/*", "GET /a/*:go", "GET /a/**", "GET /a/%2A", "GET /*/*"),
    ).not.toThrow();
  });
});

describe("the routes of a small API", () => {
  const all = trieOf(
    "GET /users",
    "GET /users/{id}",
    "GET /users/search",
    "GET /files/**",
    "GET /files/{id}",
    "GET /users/{id}:lock",
    "POST /users/{id}/otp",
    "DELETE /users/{id}",
  );

  it.each([
    ["GET", "/users", "GET /users"],
    ["GET", "/users/1", "GET /users/{id}"],
    ["GET", "/users/search", "GET /users/search"],
    ["GET", "/users/%73earch", "GET /users/search"],
    ["GET", "/users/a%2Fb", "GET /users/{id}"],
    ["GET", "/users/1:lock", "GET /users/{id}:lock"],
    ["GET", "/users/1:other", "GET /users/{id}"],
    ["DELETE", "/users/search", "DELETE /users/{id}"],
    ["GET", "/files/1", "GET /files/{id}"],
    ["GET", "/files/1/2", "GET /files/**"],
    ["GET", "/files", "GET /files/**"],
    ["POST", "/users/1/otp", "POST /users/{id}/otp"],
  ])("serve %s %s with %s", (method, path, route) => {
    expect(find(all, method, path)).toBe(route);
  });

  it.each([
    ["GET", "/"],
    ["GET", ""],
    ["GET", "users"],
    ["GET", "//users"],
    ["GET", "/users/"],
    ["GET", "/Users"],
    ["GET", "/users/1/"],
    ["GET", "/users/1/other"],
    ["GET", "/users/../users"],
    ["GET", "*"],
    ["GET", "http://x/users"],
  ])("don't include %s %s", (method, path) => {
    expect(find(all, method, path)).toBeUndefined();
  });

  it.each([
    ["PUT", "/users/1", ["DELETE", "GET"]],
    ["GET", "/users/1/otp", ["POST"]],
    ["get", "/users", ["GET"]],
  ])("don't allow %s %s, but other methods", (method, path, allow) => {
    expect(find(all, method, path)).toEqual(allow);
  });

  it("can't have the same method and shape", () => {
    expect(() => trieOf("GET /users/{id}", "GET /users/{user_id}")).toThrow(
      "GET /users/{user_id} and GET /users/{id} have the same path",
    );
  });
});

it("a search is bounded by the number of routes, whatever the path", () => {
  const shapes = Array.from({ length: 1 << 10 }, (_, bits) =>
    Array.from({ length: 10 }, (_, i) => (bits & (1 << i) ? "*" : "a")).join("/"),
  );
  const trie = trieOf(...shapes.map((shape) => `GET /${shape}`));
  expect(find(trie, "GET", `/${"a/".repeat(9)}a`)).toBe(`GET /${"a/".repeat(9)}a`);
  expect(find(trie, "GET", `/${"a/".repeat(10_000)}a`)).toBeUndefined();
  expect(find(trie, "GET", `/${":".repeat(10_000)}`)).toBeUndefined();
});

it("find accepts any path", () => {
  const trie = trieOf("GET /a/{id}", "POST /a/**", "GET /{x=*/b/**}:go");
  const piece = fc.constantFrom("/", "a", "b", ":", "go", "%", "%2F", "%zz", "..", "", "\0", "é");
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const found = trie.find("GET", pieces.join(""));
      if (found.kind === "match") expect(pieces.join("")).toContain(found.segments.join("/"));
    }),
  );
});
