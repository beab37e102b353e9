import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary, type JsonObject, toJson } from "@bufbuild/protobuf";
import {
  AnySchema,
  DurationSchema,
  FileDescriptorSetSchema,
  Int64ValueSchema,
  StructSchema,
  ValueSchema,
} from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { DetailsSchema } from "../../../gen/countersign/user/v3alpha/details_pb.ts";
import { UserSchema, UserState } from "../../../gen/countersign/user/v3alpha/user_pb.ts";
import { AddOTPEmailRequestSchema } from "../../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { BadRequestSchema, RetryInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { messageFromJson } from "../../../src/wire/json/json.ts";
import { refusalOf } from "../../support/errors.ts";

const vectors = readFileSync(new URL("../../vectors/vectors.binpb", import.meta.url));
const Scalars = createFileRegistry(fromBinary(FileDescriptorSetSchema, vectors)).getMessage(
  "transcoding.vectors.v1.Scalars",
)!;

describe("messageFromJson rejects", () => {
  it.each([
    ["an unknown enum name", UserSchema, { state: "USER_STATE_SLEEPING" }, "state"],
    ["a list for an enum", UserSchema, { state: [] }, "state"],
    ["an unquoted integer beyond 2^53", DetailsSchema, { sequence: 2 ** 53 }, "sequence"],
    ["a fraction for an integer", DetailsSchema, { sequence: "1.5" }, "sequence"],
    ["a hexadecimal integer", DetailsSchema, { sequence: "0x10" }, "sequence"],
    ["a space before an integer", DetailsSchema, { sequence: " 1" }, "sequence"],
    ["a plus sign", DetailsSchema, { sequence: "+1" }, "sequence"],
    ["a negative unsigned integer", DetailsSchema, { sequence: "-1" }, "sequence"],
    ["an integer beyond 2^64", DetailsSchema, { sequence: "18446744073709551616" }, "sequence"],
    ["an invalid time", DetailsSchema, { changeDate: "yesterday" }, "change_date"],
    ["ten fractional digits of a second", RetryInfoSchema, { retryDelay: "1.0000000001s" }, "retry_delay"],
    ["letters after a duration", RetryInfoSchema, { retryDelay: "3sxyz" }, "retry_delay"],
    ["a day that doesn't exist", DetailsSchema, { changeDate: "2026-02-31T00:00:00Z" }, "change_date"],
    ["a hexadecimal wrapper", Scalars, { int64Wrapper: "0x10" }, "int64_wrapper"],
    ["an unquoted wrapper beyond 2^53", Scalars, { int64Wrapper: 2 ** 53 + 2 }, "int64_wrapper"],
    ["a lone surrogate in free-form JSON", Scalars, { structValue: { a: ["\ud800"] } }, "struct_value"],
    [
      "a lone surrogate in a key of free-form JSON",
      Scalars,
      { structValue: { "\udfff": 1 } },
      "struct_value",
    ],
    ["a lone surrogate in a map", Scalars, { stringMap: { a: "\ud800" } }, "string_map"],
    ["an unknown name in a list of enums", Scalars, { enumList: ["ENUM_VALUE", "ENUM_NEW"] }, "enum_list[1]"],
    ["a wrong wrapper in a list", Scalars, { uint64WrapperList: ["1", "-1"] }, "uint64_wrapper_list[1]"],
    ["an object for a list", Scalars, { stringList: { 0: "a" } }, "string_list"],
    ["a list for a map", Scalars, { stringMap: ["a"] }, "string_map"],
    ["a wrong value in a map", Scalars, { stringMap: { a: 1 } }, "string_map"],
    ["a lone surrogate in a key of a map", Scalars, { stringMap: { "\udfff": "a" } }, "string_map"],
    ["a number out of range of a double", Scalars, { doubleValue: Number.POSITIVE_INFINITY }, "double_value"],
    ["a number out of range of a float", Scalars, { floatValue: 1e39 }, "float_value"],
    ["a number in words", Scalars, { doubleValue: "inf" }, "double_value"],
    ["a boolean in a string", Scalars, { boolValue: "true" }, "bool_value"],
    ["bytes that are not base64", Scalars, { bytesValue: "a*b" }, "bytes_value"],
    ["a path in snake case", Scalars, { fieldMask: "a_b" }, "field_mask"],
    [
      "an invalid value in a nested message",
      Scalars,
      { nested: { messageList: [{}, { nested: { int32Value: "x" } }] } },
      "nested.message_list[1].nested.int32_value",
    ],
    [
      "both names of a field in a nested message",
      Scalars,
      { messageList: [{ boolValue: true, bool_value: true }] },
      "message_list[0].bool_value",
    ],
    [
      "a field by its proto name and its JSON name",
      Scalars,
      { renamed: "a", "custom-kebab": "b" },
      "renamed",
    ],
    [
      "a wrong item of a list",
      BadRequestSchema,
      { fieldViolations: [{}, { field: 7 }] },
      "field_violations[1].field",
    ],
    ["null in a list", BadRequestSchema, { fieldViolations: [null] }, "field_violations[0]"],
  ])("%s, and names the field", async (_name, desc, json, field) => {
    const refusal = await refusalOf((async () => messageFromJson(desc, json as never))());
    expect(refusal).toMatchObject({ code: "InvalidArgument", reason: "REQUEST_MALFORMED", fields: [field] });
  });
});

describe("members of a oneof", () => {
  const read = (json: JsonObject) => messageFromJson(AddOTPEmailRequestSchema, json).email?.verification;

  it("are all named if several are set", async () => {
    const verification = { sendCode: {}, return_code: {}, isVerified: true };
    const refusal = await refusalOf((async () => read({ email: verification }))());
    expect(refusal).toMatchObject({
      code: "InvalidArgument",
      message: "only one of email.send_code, email.return_code, email.is_verified can be set: keep one",
      fields: ["email.send_code", "email.return_code", "email.is_verified"],
    });
  });

  it("are unset if they are null", () => {
    expect(read({ email: { sendCode: null, isVerified: true } })?.case).toBe("isVerified");
    expect(read({ email: { isVerified: null, return_code: {} } })?.case).toBe("returnCode");
    expect(read({ email: { isVerified: null, returnCode: null, sendCode: null } })?.case).toBeUndefined();
    const inner = { oneofMessageValue: null, oneofStringValue: "a" };
    const message = messageFromJson(Scalars, { nested: inner, messageList: [inner], value: null });
    expect(toJson(Scalars, message)).toEqual({
      nested: { oneofStringValue: "a" },
      messageList: [{ oneofStringValue: "a" }],
      value: null,
    });
  });
});

describe("a well-known type", () => {
  it("is read from its own JSON form", () => {
    expect(messageFromJson(DurationSchema, "1.5s")).toMatchObject({ seconds: 1n, nanos: 500_000_000 });
    expect(messageFromJson(ValueSchema, null).kind.case).toBe("nullValue");
    expect(messageFromJson(StructSchema, { fields: { a: "b" } }).fields).toHaveProperty("fields");
    expect(messageFromJson(Int64ValueSchema, "7").value).toBe(7n);
  });

  it.each([
    [DurationSchema, "1sx"],
    [DurationSchema, {}],
    [StructSchema, { a: "\ud800" }],
    [StructSchema, []],
    [Int64ValueSchema, "0x10"],
    [AnySchema, { "@type": "type.googleapis.com/google.protobuf.Any", value: "secret" }],
  ])("is rejected without quoting it: %s", async (desc, json) => {
    const refusal = await refusalOf((async () => messageFromJson(desc, json))());
    expect(refusal).toMatchObject({ code: "InvalidArgument", reason: "REQUEST_MALFORMED", fields: [] });
    expect(refusal.message).not.toContain("secret");
  });

  it("is named by its path in the enclosing message", async () => {
    const refusal = await refusalOf((async () => messageFromJson(DurationSchema, "soon", "retry.delay"))());
    expect(refusal.fields).toEqual(["retry.delay"]);
  });
});

describe("T34 a deeply nested message", () => {
  it.each(["nested", "struct_value", "value", "message_list"])("is rejected in %s", async (name) => {
    let json: JsonObject = {};
    for (let i = 0; i < 10_000; i++) json = { [name]: name === "message_list" ? [json] : json };
    const refusal = await refusalOf((async () => messageFromJson(Scalars, json))());
    expect(refusal).toMatchObject({ code: "InvalidArgument", reason: "REQUEST_MALFORMED" });
  });
});

describe("a valid value", () => {
  it.each([
    [
      "an exponent",
      { int32Value: 1e3, int64Value: "5", doubleValue: "1e3" },
      { int32Value: 1000, int64Value: "5", doubleValue: 1000 },
    ],
    ["the largest safe integer", { int64Value: 2 ** 53 - 1 }, { int64Value: "9007199254740991" }],
    [
      "a non-finite double",
      { doubleValue: "NaN", floatValue: "-Infinity" },
      { doubleValue: "NaN", floatValue: "-Infinity" },
    ],
    ["base64 for URLs", { bytesValue: "_-8" }, { bytesValue: "/+8=" }],
    ["a negative duration", { duration: "-0.5s" }, { duration: "-0.500s" }],
    [
      "a key __proto__ in a map",
      JSON.parse('{"stringMap":{"__proto__":"a"}}'),
      JSON.parse('{"stringMap":{"__proto__":"a"}}'),
    ],
    [
      "a key __proto__ in free-form JSON",
      JSON.parse('{"structValue":{"__proto__":{"a":1}}}'),
      JSON.parse('{"structValue":{"__proto__":{"a":1}}}'),
    ],
    [
      "null for any field",
      { int32Value: null, nested: null, stringList: null, stringMap: null, duration: null },
      {},
    ],
  ])("is read: %s", (_name, json, expected) => {
    expect(toJson(Scalars, messageFromJson(Scalars, json))).toEqual(expected);
    expect(({} as { a?: number }).a).toBeUndefined();
  });

  it("is read while unknown fields are ignored", () => {
    expect(messageFromJson(UserSchema, { state: "USER_STATE_LOCKED", unknown: 1 }).state).toBe(
      UserState.LOCKED,
    );
    expect(messageFromJson(UserSchema, { state: 2 }).state).toBe(UserState.INACTIVE);
    expect(messageFromJson(UserSchema, { state: null, user_id: "u" })).toMatchObject({
      state: 0,
      userId: "u",
    });
    expect(messageFromJson(DetailsSchema, { sequence: "18446744073709551615" }).sequence).toBe(
      2n ** 64n - 1n,
    );
    expect(messageFromJson(DetailsSchema, { sequence: 7 }).sequence).toBe(7n);
  });
});
