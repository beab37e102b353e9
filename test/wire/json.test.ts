import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { DetailsSchema } from "../../gen/countersign/user/v3alpha/details_pb.ts";
import { UserSchema, UserState } from "../../gen/countersign/user/v3alpha/user_pb.ts";
import { BadRequestSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { messageFromJson } from "../../src/wire/json.ts";
import { refusalOf } from "../support/errors.ts";

const vectors = readFileSync(new URL("../vectors/vectors.binpb", import.meta.url));
const Scalars = createFileRegistry(fromBinary(FileDescriptorSetSchema, vectors)).getMessage(
  "transcoding.vectors.v1.Scalars",
)!;

describe("a value that proto JSON does not allow", () => {
  it.each([
    ["an unknown name of an enum", UserSchema, { state: "USER_STATE_SLEEPING" }, "state"],
    ["a list for an enum", UserSchema, { state: [] }, "state"],
    ["an unquoted integer beyond 2^53", DetailsSchema, { sequence: 2 ** 53 }, "sequence"],
    ["a fraction for an integer", DetailsSchema, { sequence: "1.5" }, "sequence"],
    ["a hexadecimal integer", DetailsSchema, { sequence: "0x10" }, "sequence"],
    ["a space before an integer", DetailsSchema, { sequence: " 1" }, "sequence"],
    ["a plus sign", DetailsSchema, { sequence: "+1" }, "sequence"],
    ["a negative unsigned integer", DetailsSchema, { sequence: "-1" }, "sequence"],
    ["an integer beyond 2^64", DetailsSchema, { sequence: "18446744073709551616" }, "sequence"],
    ["a time that is none", DetailsSchema, { changeDate: "yesterday" }, "change_date"],
    ["ten digits of a second", RetryInfoSchema, { retryDelay: "1.0000000001s" }, "retry_delay"],
    ["letters behind a duration", RetryInfoSchema, { retryDelay: "3sxyz" }, "retry_delay"],
    [
      "a day that is not in the calendar",
      DetailsSchema,
      { changeDate: "2026-02-31T00:00:00Z" },
      "change_date",
    ],
    ["a hexadecimal wrapper", Scalars, { int64Wrapper: "0x10" }, "int64_wrapper"],
    ["an unquoted wrapper beyond 2^53", Scalars, { int64Wrapper: 2 ** 53 + 2 }, "int64_wrapper"],
    ["half a character in free JSON", Scalars, { structValue: { a: ["\ud800"] } }, "struct_value"],
    ["half a character as a key of free JSON", Scalars, { structValue: { "\udfff": 1 } }, "struct_value"],
    ["half a character in a map", Scalars, { stringMap: { a: "\ud800" } }, "string_map"],
    [
      "a wrong item of a list",
      BadRequestSchema,
      { fieldViolations: [{}, { field: 7 }] },
      "field_violations[1].field",
    ],
    ["a list item that is null", BadRequestSchema, { fieldViolations: [null] }, "field_violations[0]"],
  ])("%s is refused by its field", async (_name, desc, json, field) => {
    const refusal = await refusalOf((async () => messageFromJson(desc, json as never))());
    expect(refusal).toMatchObject({ code: "InvalidArgument", reason: "REQUEST_MALFORMED", fields: [field] });
  });
});

describe("a value that proto JSON allows", () => {
  it("is read, and unknown fields are passed over", () => {
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
