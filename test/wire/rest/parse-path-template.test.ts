import { describe, expect, it } from "vitest";
import { parsePathTemplate } from "../../../src/wire/rest/path-template.ts";
import { RouteTrie } from "../../../src/wire/rest/route-trie.ts";

describe("a path template", () => {
  it.each([
    ["/v1/shelves", ["v1", "shelves"], "", []],
    ["/v1/{name}", ["v1", "*"], "", [{ path: "name", start: 1, end: 2 }]],
    [
      "/v1/{name=shelves/*/books/*}",
      ["v1", "shelves", "*", "books", "*"],
      "",
      [{ path: "name", start: 1, end: 5 }],
    ],
    [
      "/v1/{parent=shelves/*}/books:search",
      ["v1", "shelves", "*", "books"],
      "search",
      [{ path: "parent", start: 1, end: 3 }],
    ],
    ["/v1/{book.name=**}", ["v1", "**"], "", [{ path: "book.name", start: 1, end: -1 }]],
    [
      "/{a}/{b}:verb",
      ["*", "*"],
      "verb",
      [
        { path: "a", start: 0, end: 1 },
        { path: "b", start: 1, end: 2 },
      ],
    ],
    ["/a%20b/*", ["a b", "*"], "", []],
    ["/**", ["**"], "", []],
  ])("%s", (template, segments, verb, variables) => {
    expect(parsePathTemplate(template)).toEqual({ segments, verb, variables });
  });

  it.each([
    ["", 1],
    ["v1", 1],
    ["/", 2],
    ["/v1/", 5],
    ["/v1//x", 5],
    ["/v1/{}", 6],
    ["/v1/{name", 10],
    ["/v1/{name=}", 11],
    ["/v1/{1name}", 6],
    ["/v1/{a={b}}", 8],
    ["/**/x", 5],
    ["/{a=**}/{b}", 11],
    ["/{a}/{a}", 8],
    ["/x:", 4],
    ["/x:y:z", 5],
    ["/x y", 3],
    ["/x?y", 3],
    ["/%zz", 2],
  ])("%s is refused at column %i", (template, column) => {
    expect(() => parsePathTemplate(template)).toThrow(new RegExp(`at column ${column}$`));
  });
});

describe("a route", () => {
  const trie = new RouteTrie<string>();
  const add = (method: string, template: string) =>
    trie.add(method, parsePathTemplate(template), `${method} ${template}`, (route) => route);
  for (const template of [
    "/users",
    "/users/{id}",
    "/users/search",
    "/files/**",
    "/files/{id}",
    "/users/{id}:lock",
  ]) {
    add("GET", template);
  }
  add("POST", "/users/{id}/otp");
  add("DELETE", "/users/{id}");

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
  ])("%s %s finds %s", (method, path, route) => {
    expect(trie.find(method, path)).toMatchObject({ kind: "match", route });
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
  ])("%s %s finds nothing", (method, path) => {
    expect(trie.find(method, path)).toEqual({ kind: "not_found" });
  });

  it.each([
    ["PUT", "/users/1", ["DELETE", "GET"]],
    ["GET", "/users/1/otp", ["POST"]],
    ["get", "/users", ["GET"]],
  ])("%s %s is told which methods there are", (method, path, allow) => {
    const found = trie.find(method, path);
    expect(found.kind === "method_not_allowed" && [...found.allow].sort()).toEqual(allow);
  });

  it("of the same method and shape as another is refused", () => {
    expect(() => add("GET", "/users/{user_id}")).toThrow(
      /GET \/users\/\{user_id\} and GET \/users\/\{id\} have the same path/,
    );
  });
});
