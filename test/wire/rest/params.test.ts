import type { JsonObject } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BadRequestSchema, ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { findField, isGiven, protoPath, setParameter, setQuery } from "../../../src/wire/rest/params.ts";
import { codePoint } from "../../support/wire/code-point.ts";
import { canonical, methodNamed } from "../../support/wire/rest.ts";

const scalars = methodNamed("Echo").input;

function queryJson(query: string, taken: readonly string[] = []): JsonObject {
  const json: JsonObject = {};
  setQuery(json, scalars, query, taken);
  return json;
}

/** Returns message and fields of the error that a query is rejected with. */
function refusal(query: string, taken?: readonly string[]): { message: string; fields: readonly string[] } {
  try {
    queryJson(query, taken);
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    expect(error.code).toBe(Code.InvalidArgument);
    expect(error.findDetails(ErrorInfoSchema)[0]?.reason).toBe("REQUEST_MALFORMED");
    const violations = error.findDetails(BadRequestSchema).flatMap((request) => request.fieldViolations);
    return { message: error.rawMessage, fields: violations.map(({ field }) => field) };
  }
  throw new Error("the query was accepted");
}

describe("a query parameter can be", () => {
  it.each([
    ["the smallest int64", "int64_value=-9223372036854775808", { int64Value: "-9223372036854775808" }],
    ["minus zero", "sint32_value=-0", {}],
    ["a double with an exponent", "double_value=-1.5e-3", { doubleValue: -0.0015 }],
    ["minus infinity", "double_value=-Infinity", { doubleValue: "-Infinity" }],
    ["false", "bool_wrapper=false", { boolWrapper: false }],
    ["a wrapper of an empty string", "string_wrapper=", { stringWrapper: "" }],
    ["base64 without padding", "bytes_value=YQ", { bytesValue: "YQ==" }],
    ["empty base64", "bytes_wrapper=", { bytesWrapper: "" }],
    ["a repeated enum", "enum_list=ENUM_OTHER&enum_list=1", { enumList: ["ENUM_OTHER", "ENUM_VALUE"] }],
    [
      "a time with an offset",
      "timestamp=2021-01-01T02:00:00.5%2B02:00",
      { timestamp: "2021-01-01T00:00:00.500Z" },
    ],
    ["a negative duration", "duration=-1.5s", { duration: "-1.500s" }],
    ["an empty field mask", "field_mask=", { fieldMask: "" }],
    ["a field mask in both naming styles", "field_mask=a_b,cD.e", { fieldMask: "aB,cD.e" }],
    ["a custom JSON name", "custom-kebab=x", { "custom-kebab": "x" }],
    ["the proto name of that field", "renamed=x", { "custom-kebab": "x" }],
    ["an encoded name", "%73tring_value=x", { stringValue: "x" }],
    ["an equals sign in the value", "string_value=a=b", { stringValue: "a=b" }],
    ["a name without a value", "string_value", {}],
    [
      "two fields of one message",
      "nested.int32Value=1&nested.nested.bool_value=true",
      { nested: { int32Value: 1, nested: { boolValue: true } } },
    ],
  ])("%s: %s", (_what, query, message) => {
    expect(canonical(scalars, queryJson(query))).toEqual(message);
  });

  it("one of a hundred", () => {
    expect(queryJson("string_list=x&".repeat(100)).stringList).toHaveLength(100);
  });
});

describe("a parameter value is rejected", () => {
  it.each([
    ["a hexadecimal integer", "int32_value=0x10", "a whole number"],
    ["a plus sign", "int64_value=%2B1", "a whole number"],
    ["a leading zero", "uint32_value=01", "a whole number"],
    ["an exponent in an integer", "int32_value=1e3", "a whole number"],
    ["a space", "int64_wrapper=%201", "a whole number"],
    ["a hexadecimal integer in a wrapper", "uint64_wrapper_list=0x1", "a whole number"],
    ["10,000 digits", `int64_value=${"9".repeat(10_000)}`, "a whole number"],
    ["a double without digits before the point", "double_value=.5", "a number"],
    ["another spelling of infinity", "double_value=inf", "a number"],
    ["a number for a bool", "bool_wrapper=1", "true or false"],
    ["base64 with an extra character", "bytes_value=YWJjY", "base64"],
    ["base64 with too much padding", "bytes_value=YWJj%3D", "base64"],
    ["base64 with a line break", "bytes_value=YWJj%0A", "base64"],
    ["an enum of another case", "enum_value=enum_value", "one of ENUM_UNSPECIFIED, ENUM_VALUE, ENUM_OTHER"],
    ["an unknown enum number", "enum_list=99", "one of ENUM_UNSPECIFIED, ENUM_VALUE, ENUM_OTHER"],
    ["a time without an offset", "timestamp=2021-01-01T00:00:00", "a time such as 2026-01-31T12:00:00Z"],
    ["a duration without its unit", "duration=3", "a duration such as 3.5s"],
    ["a duration with extra characters", "duration=3sx", "a duration such as 3.5s"],
    ["a duration with ten fractional digits", "duration=3.0000000001s", "a duration such as 3.5s"],
    [
      "a field mask with an empty path",
      "field_mask=a,,b",
      "a list of fields such as display_name,email.address",
    ],
    [
      "a field mask that proto JSON can't represent",
      "field_mask=a__b",
      "a list of fields such as display_name,email.address",
    ],
  ])("if it is %s", (_what, query, expected) => {
    const [name = ""] = query.split("=");
    const { message, fields } = refusal(query);
    expect(message).toBe(`${name} is not valid: ${expected} is expected`);
    expect(fields).toEqual([name]);
  });

  it("in linear time", () => {
    for (const name of ["double_value", "bytes_value", "field_mask", "timestamp", "duration"]) {
      expect(refusal(`${name}=${"1".repeat(100_000)}!`).fields).toEqual([name]);
    }
  });
});

describe("a parameter is rejected", () => {
  it.each([
    ["a message", "nested=1", "nested is not a single value: set its fields one by one", ["nested"]],
    ["a map", "string_map=1", "string_map is not a single value: set its fields one by one", ["string_map"]],
    [
      "a repeated message",
      "message_list=1",
      "message_list is not a single value: set its fields one by one",
      ["message_list"],
    ],
    [
      "JSON",
      "struct_value={}",
      "struct_value is not a single value: set its fields one by one",
      ["struct_value"],
    ],
    [
      "repeated",
      "nested.bool_value=true&nested.boolValue=true",
      "nested.bool_value is given twice: keep one",
      ["nested.bool_value"],
    ],
    [
      "a field of path or body",
      "stringValue=x",
      "string_value comes from the path or the body: leave it out of the query",
      ["string_value"],
      ["string_value"],
    ],
    [
      "a field below one of path or body",
      "nested.nested.bool_value=true",
      "nested.nested.bool_value comes from the path or the body: leave it out of the query",
      ["nested.nested.bool_value"],
      ["nested"],
    ],
  ])("if it is %s", (_what, query, message, fields, taken: string[] = []) => {
    expect(refusal(query, taken)).toEqual({ message, fields });
  });

  it("but not if its name only starts like that of a taken field", () => {
    expect(queryJson("string_value=x", ["string"])).toEqual({ stringValue: "x" });
  });

  it.each([
    ["a field of a repeated message", "message_list.bool_value", ["message_list.bool_value"]],
    ["an entry of a map", "string_map.a", ["string_map.a"]],
    ["an entry of a map in brackets", "string_map[a]", []],
    ["a field of a time", "timestamp.seconds", ["timestamp.seconds"]],
    ["a field of a wrapper", "string_wrapper.value", ["string_wrapper.value"]],
    ["a property of every object", "constructor", ["constructor"]],
    ["the prototype", "__proto__", []],
    ["the prototype of a message", "nested.__proto__.string_value", ["nested.__proto__.string_value"]],
    ["another property of every object", "nested.toString", ["nested.toString"]],
    ["an empty name", "", []],
    ["what may be a code", "ABCD1234", []],
    ["what may be a token", `e${"yJhbGciOiJFUzI1NiJ9".repeat(4)}`, []],
    ["too many levels", `${"nested.".repeat(100)}bool_value`, []],
  ])("as unknown if it is %s", (_what, name, fields) => {
    const message = "this method has no query parameter of that name: check the API reference";
    expect(refusal(`${name}=1`)).toEqual({ message, fields });
    expect(({} as { string_value?: unknown }).string_value).toBeUndefined();
  });

  it.each([
    ["a truncated escape", "string_value=%4"],
    ["a truncated character", "string_value=%E4%B8"],
    ["an invalid escape in a name", "%zz=1"],
    ["a non-ASCII byte", "string_value=\xe4"],
    ["a space", "string_value=a b"],
  ])("if it has %s", (_what, query) => {
    expect(refusal(query)).toEqual({
      message: "the query is not percent-encoded UTF-8",
      fields: [],
    });
  });

  it("if it is the 101st", () => {
    expect(refusal("string_list=x&".repeat(101)).message).toBe(
      "there are too many query parameters: send at most 100",
    );
  });
});

it("any query is read or rejected, and strings are read unchanged", () => {
  fc.assert(
    fc.property(fc.string({ unit: codePoint }), (text) => {
      expect(queryJson(`string_value=${encodeURIComponent(text)}`)).toEqual({ stringValue: text });
      expect(queryJson(new URLSearchParams({ string_value: text }).toString())).toEqual({
        stringValue: text,
      });
    }),
  );
  const piece = fc.constantFrom("nested", ".", "string_list", "=", "&", "%", "4", "+", "__proto__", "[", "é");
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      try {
        queryJson(pieces.join(""));
      } catch (error) {
        expect(error).toBeInstanceOf(ConnectError);
      }
    }),
  );
});

describe("a parameter is added to a body", () => {
  const path = findField(scalars, "nested.string_value") ?? [];

  it.each<[string, JsonObject, JsonObject]>([
    ["without the enclosing message", {}, { nested: { stringValue: "x" } }],
    ["where the enclosing message is null", { nested: null }, { nested: { stringValue: "x" } }],
    ["with other fields", { nested: { boolValue: true } }, { nested: { boolValue: true, stringValue: "x" } }],
  ])("%s", (_what, body, expected) => {
    expect(isGiven(body, path)).toBe(false);
    setParameter(body, path, "x");
    expect(body).toEqual(expected);
  });

  it.each<[string, JsonObject]>([
    ["by its JSON name", { nested: { stringValue: "y" } }],
    ["by its proto name", { nested: { string_value: "y" } }],
    ["as null", { nested: { stringValue: null } }],
  ])("unless the field is already set %s", (_what, body) => {
    expect(isGiven(body, path)).toBe(true);
    expect(() => setParameter(body, path, "x")).toThrow("nested.string_value is given twice");
  });

  it.each<[string, JsonObject]>([
    ["a string", { nested: "y" }],
    ["a list", { nested: [] }],
  ])("unless the enclosing message is %s", (_what, body) => {
    expect(isGiven(body, path)).toBe(false);
    expect(() => setParameter(body, path, "x")).toThrow("an object is expected around nested.string_value");
  });
});

it("protoPath uses proto names", () => {
  expect(protoPath(findField(scalars, "oneofMessageValue.custom-kebab") ?? [])).toBe(
    "oneof_message_value.renamed",
  );
});
