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

describe("a rule is refused at start", () => {
  const scalars = "transcoding.vectors.v1.Scalars";

  it.each<[string, JsonObject, string]>([
    ["of no field", { get: "/{none}" }, "none, which is no single value in X, at column 3"],
    [
      "of no field, behind others",
      { get: "/a/{string_value}/{none=b/*}" },
      "none, which is no single value in X, at column 20",
    ],
    [
      "by its JSON name",
      { get: "/{stringValue}" },
      "stringValue, which is no single value in X, at column 3",
    ],
    ["of a list", { get: "/{string_list}" }, "string_list, which is no single value in X, at column 3"],
    ["of a map", { get: "/{string_map}" }, "string_map, which is no single value in X, at column 3"],
    ["of a message", { get: "/{nested}" }, "nested, which is no single value in X, at column 3"],
    ["of a time", { get: "/{timestamp}" }, "timestamp, which is no single value in X, at column 3"],
    [
      "in a list",
      { get: "/{message_list.string_value}" },
      "message_list.string_value, which is no single value in X, at column 3",
    ],
    [
      "in a scalar",
      { get: "/{string_value.a}" },
      "string_value.a, which is no single value in X, at column 3",
    ],
    ["__proto__", { get: "/{__proto__}" }, "__proto__, which is no single value in X, at column 3"],
    [
      "that is the body",
      { post: "/a/{string_value}", body: "string_value" },
      "string_value, which is the body, at column 5",
    ],
    [
      "that is the body of a further rule",
      { get: "/b", additionalBindings: [{ put: "/a/{string_value}", body: "string_value" }] },
      "string_value, which is the body, at column 5",
    ],
  ])("for a variable %s", (_what, rule, problem) => {
    const path = JSON.stringify(rule).match(/"(\/[^"]*\{[^"]*)"/)?.[1];
    expect(refusal(rule)).toBe(
      `rpc rules.Rules.One: path template "${path}": it binds ${problem.replace("X", scalars)}`,
    );
  });

  it.each<[string, JsonObject, string]>([
    ["", { body: "*" }, "rpc rules.Rules.One has a rule without a path"],
    [
      "a method",
      { custom: { kind: "A B", path: "/a" } },
      'rpc rules.Rules.One: path template "/a": the rule has no HTTP method',
    ],
    [
      "a valid template",
      { get: "/a/" },
      'rpc rules.Rules.One: path template "/a/": a literal, * or ** is expected at column 4',
    ],
    [
      "a valid template in a further rule",
      { get: "/a", additionalBindings: [{ get: "/b/{string_value=c/**/d}" }] },
      'rpc rules.Rules.One: path template "/b/{string_value=c/**/d}": nothing may follow "**" at column 23',
    ],
    [
      "a field for its body",
      { post: "/a", body: "none" },
      `rpc rules.Rules.One: path template "/a": its body none is no field of ${scalars}`,
    ],
    [
      "a field of its own for its body",
      { post: "/a", body: "nested.nested" },
      `rpc rules.Rules.One: path template "/a": its body nested.nested is no field of ${scalars}`,
    ],
    [
      "a field for its response body",
      { get: "/a", responseBody: "none" },
      `rpc rules.Rules.One: path template "/a": its response body none is no field of ${scalars}`,
    ],
    [
      "additional bindings of one level",
      { get: "/a", additionalBindings: [{ get: "/b", additionalBindings: [{ get: "/c" }] }] },
      "rpc rules.Rules.One has additional bindings in an additional binding",
    ],
  ])("without %s", (_what, rule, problem) => {
    expect(refusal(rule)).toBe(problem);
  });

  it("if another has its shape, by the names and the templates of both", () => {
    const served = methodsWithRules({ One: { get: "/a/{string_value}" }, Two: { get: "/a/{int32_value}" } });
    expect(() => createRestRouter(served)).toThrow(
      "rpc rules.Rules.Two (GET /a/{int32_value}) and rpc rules.Rules.One (GET /a/{string_value}) have the same path",
    );
  });

  it("if an additional binding has its shape", () => {
    expect(refusal({ get: "/a", additionalBindings: [{ get: "/a", responseBody: "nested" }] })).toBe(
      "rpc rules.Rules.One (GET /a) and rpc rules.Rules.One (GET /a) have the same path",
    );
  });

  it.each<MethodShape>([{ clientStreaming: true }, { clientStreaming: true, serverStreaming: true }])(
    "if its method is %j: it would never be served",
    (shape) => {
      expect(refusal({ post: "/a", body: "*" }, shape)).toBe(
        "rpc rules.Rules.One has a rule, but takes a stream, which REST has not",
      );
    },
  );
});

it("methods without a rule have no route", () => {
  expect(createRestRouter([methodNamed("Echo")]).find("GET", "/v1/shelves")).toEqual({ kind: "not_found" });
});
