import { describe, expect, test } from "vitest";
import {
  defaultRolesClaim,
  grantsOf,
  mayAnywhere,
  mayIn,
  type Permission,
  type Principal,
} from "../../src/auth/principal.ts";

const id200 = "o".repeat(200);

describe("grantsOf", () => {
  test.each([
    ["a scope in every organization", { scope: "user.read" }, { "user.read": "all" }],
    [
      "known scopes only",
      { scope: "openid user.write otp.challenge admin user.read" },
      { "user.read": "all", "user.write": "all", "otp.challenge": "all" },
    ],
    [
      "a role in its organizations",
      roles({ "user.write": { a: "a.example", b: 1 } }),
      { "user.write": ["a", "b"] },
    ],
    ["a role with any value", roles({ "user.write": { a: null } }), { "user.write": ["a"] }],
    [
      "the scope if it has scope and role",
      { scope: "user.read", ...roles({ "user.read": { a: 1 }, "user.write": { a: 1 } }) },
      { "user.read": "all", "user.write": ["a"] },
    ],
    ["the longest organization id", roles({ "user.read": { [id200]: 1 } }), { "user.read": [id200] }],
    [
      "an organization id of 200 code points",
      roles({ "user.read": { ["😀".repeat(200)]: 1 } }),
      { "user.read": ["😀".repeat(200)] },
    ],
    [
      "an organization named __proto__",
      JSON.parse(`{"${defaultRolesClaim}":{"user.read":{"__proto__":1}}}`),
      { "user.read": ["__proto__"] },
    ],
    [
      "the well-formed part of a malformed claim",
      roles({ "user.read": { "": 1, a: 1, [`${id200}x`]: 1 }, "user.write": [] }),
      { "user.read": ["a"] },
    ],
  ])("grants %s", (_, claims, expected) => {
    expect(plain(grantsOf(claims, defaultRolesClaim))).toEqual(expected);
  });

  test("grants roles of a configured claim", () => {
    expect(plain(grantsOf({ "my:roles": { "user.read": { a: 1 } } }, "my:roles"))).toEqual({
      "user.read": ["a"],
    });
  });

  test.each([
    ["no claims", {}],
    ["a scope in another case", { scope: "User.Read USER.WRITE" }],
    ["a longer scope", { scope: "user.reads xuser.write user.write:a" }],
    ["scopes with other separators", { scope: "user.read,user.write\tuser.read\nuser.write" }],
    ["a scope that is an array", { scope: ["user.read"] }],
    ["a scope that is an object", { scope: { "user.read": true } }],
    ["a scope that is a number", { scope: 1 }],
    ["roles that are an array", roles(["user.read"])],
    ["roles that are a string", roles("user.read")],
    ["roles that are null", roles(null)],
    ["a role that is true", roles({ "user.read": true })],
    ["a role that is null", roles({ "user.read": null })],
    ["a role that is a string", roles({ "user.read": "org" })],
    ["a role that is an array", roles({ "user.read": ["org"] })],
    ["a role without an organization", roles({ "user.read": {} })],
    ["an empty organization id", roles({ "user.read": { "": 1 } })],
    ["an organization id of 201 characters", roles({ "user.read": { [`${id200}x`]: 1 } })],
    ["an unknown role", roles({ admin: { a: 1 } })],
    ["an inherited role", roles(Object.create({ "user.read": { a: 1 } }))],
    ["an inherited organization", roles({ "user.read": Object.create({ a: 1 }) })],
    ["inherited claims", Object.create({ scope: "user.read" })],
    ["the default claim when another is configured", roles({ "user.read": { a: 1 } }), "my:roles"],
    ["a claim with the name of an Object.prototype method", {}, "constructor"],
  ])("grants nothing for %s", (_, claims, rolesClaim = defaultRolesClaim) => {
    expect(plain(grantsOf(claims, rolesClaim))).toEqual({});
  });
});

describe("a principal", () => {
  const principal: Principal = {
    subject: "service",
    issuer: "https://issuer.example",
    grants: new Map<Permission, "all" | Set<string>>([
      ["user.read", "all"],
      ["user.write", new Set(["a"])],
    ]),
  };

  test("holds a scope in every organization", () => {
    expect(mayIn(principal, "user.read", "any")).toBe(true);
    expect(mayAnywhere(principal, "user.read")).toBe(true);
  });

  test("holds a role only in its organizations", () => {
    expect(mayIn(principal, "user.write", "a")).toBe(true);
    expect(mayIn(principal, "user.write", "b")).toBe(false);
    expect(mayIn(principal, "user.write", "")).toBe(false);
    expect(mayAnywhere(principal, "user.write")).toBe(true);
  });

  test("holds no other permission", () => {
    expect(mayIn(principal, "otp.challenge", "a")).toBe(false);
    expect(mayAnywhere(principal, "otp.challenge")).toBe(false);
  });
});

function roles(value: unknown): Record<string, unknown> {
  return { [defaultRolesClaim]: value };
}

function plain(grants: Principal["grants"]): Record<string, unknown> {
  return Object.fromEntries([...grants].map(([name, orgs]) => [name, orgs === "all" ? orgs : [...orgs]]));
}
