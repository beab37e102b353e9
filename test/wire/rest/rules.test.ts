import type { JsonObject } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { createRestRouter } from "../../../src/wire/rest/rules.ts";
import {
  type MethodShape,
  methodNamed,
  methodsWithRules,
  serviceWithRules,
} from "../../support/wire/rest.ts";

function refusal(rule: JsonObject, shape?: MethodShape): string {
  try {
    createRestRouter(serviceWithRules({ One: rule }, shape).methods);
  } catch (error) {
    return (error as Error).message;
  }
  return "";
}

describe("createRestRouter rejects a rule", () => {
  const scalars = "transcoding.vectors.v1.Scalars";

  it.each<[string, JsonObject, string]>([
    ["of an unknown field", { get: "/{none}" }, "none, which is not a single value in X, at column 3"],
    [
      "of an unknown field after others",
      { get: "/a/{string_value}/{none=b/*}" },
      "none, which is not a single value in X, at column 20",
    ],
    [
      "by its JSON name",
      { get: "/{stringValue}" },
      "stringValue, which is not a single value in X, at column 3",
    ],
    ["of a list", { get: "/{string_list}" }, "string_list, which is not a single value in X, at column 3"],
    ["of a map", { get: "/{string_map}" }, "string_map, which is not a single value in X, at column 3"],
    ["of a message", { get: "/{nested}" }, "nested, which is not a single value in X, at column 3"],
    ["of a time", { get: "/{timestamp}" }, "timestamp, which is not a single value in X, at column 3"],
    [
      "in a list",
      { get: "/{message_list.string_value}" },
      "message_list.string_value, which is not a single value in X, at column 3",
    ],
    [
      "in a scalar",
      { get: "/{string_value.a}" },
      "string_value.a, which is not a single value in X, at column 3",
    ],
    ["__proto__", { get: "/{__proto__}" }, "__proto__, which is not a single value in X, at column 3"],
    [
      "that is the body",
      { post: "/a/{string_value}", body: "string_value" },
      "string_value, which is the body, at column 5",
    ],
    [
      "that is the body of an additional binding",
      { get: "/b", additionalBindings: [{ put: "/a/{string_value}", body: "string_value" }] },
      "string_value, which is the body, at column 5",
    ],
  ])("with a variable %s", (_what, rule, problem) => {
    const path = JSON.stringify(rule).match(/"(\/[^"]*\{[^"]*)"/)?.[1];
    expect(refusal(rule)).toBe(
      `rpc rules.Rules.One: path template "${path}": it binds ${problem.replace("X", scalars)}`,
    );
  });

  it.each<[string, JsonObject, string]>([
    ["a path", { body: "*" }, "rpc rules.Rules.One has a rule without a path"],
    [
      "a valid HTTP method",
      { custom: { kind: "A B", path: "/a" } },
      'rpc rules.Rules.One: path template "/a": the rule has no HTTP method',
    ],
    [
      "a valid template",
      { get: "/a/" },
      'rpc rules.Rules.One: path template "/a/": a literal, * or ** is expected at column 4',
    ],
    [
      "a valid template in an additional binding",
      { get: "/a", additionalBindings: [{ get: "/b/{string_value=c/**/d}" }] },
      'rpc rules.Rules.One: path template "/b/{string_value=c/**/d}": nothing may follow "**" at column 23',
    ],
    [
      "a known body field",
      { post: "/a", body: "none" },
      `rpc rules.Rules.One: path template "/a": its body none is not a field of ${scalars}`,
    ],
    [
      "a top-level body field",
      { post: "/a", body: "nested.nested" },
      `rpc rules.Rules.One: path template "/a": its body nested.nested is not a field of ${scalars}`,
    ],
    [
      "a known response body field",
      { get: "/a", responseBody: "none" },
      `rpc rules.Rules.One: path template "/a": its response body none is not a field of ${scalars}`,
    ],
    [
      "nested additional bindings",
      { get: "/a", additionalBindings: [{ get: "/b", additionalBindings: [{ get: "/c" }] }] },
      "rpc rules.Rules.One has additional bindings in an additional binding",
    ],
  ])("without %s", (_what, rule, problem) => {
    expect(refusal(rule)).toBe(problem);
  });

  it("if another rule has the same shape, and names both", () => {
    const served = methodsWithRules({ One: { get: "/a/{string_value}" }, Two: { get: "/a/{int32_value}" } });
    expect(() => createRestRouter(served)).toThrow(
      "rpc rules.Rules.Two (GET /a/{int32_value}) and rpc rules.Rules.One (GET /a/{string_value}) have the same path",
    );
  });

  it("if an additional binding has the same shape", () => {
    expect(refusal({ get: "/a", additionalBindings: [{ get: "/a", responseBody: "nested" }] })).toBe(
      "rpc rules.Rules.One (GET /a) and rpc rules.Rules.One (GET /a) have the same path",
    );
  });

  it.each<MethodShape>([{ clientStreaming: true }, { clientStreaming: true, serverStreaming: true }])(
    "of a method with a client stream: %j",
    (shape) => {
      expect(refusal({ post: "/a", body: "*" }, shape)).toBe(
        "rpc rules.Rules.One has a rule, but takes a stream, which REST doesn't support",
      );
    },
  );
});

it("a method without a rule has no route", () => {
  expect(createRestRouter([methodNamed("Echo")]).find("GET", "/v1/shelves")).toEqual({ kind: "not_found" });
});
