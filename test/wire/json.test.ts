import { describe, expect, it } from "vitest";
import { DetailsSchema } from "../../gen/countersign/user/v3alpha/details_pb.ts";
import { UserSchema, UserState } from "../../gen/countersign/user/v3alpha/user_pb.ts";
import { BadRequestSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { messageFromJson } from "../../src/wire/json.ts";
import { refusalOf } from "../support/errors.ts";

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
    ["a wrong item of a list", BadRequestSchema, { fieldViolations: [{}, { field: 7 }] }, "field_violations"],
    ["a list item that is null", BadRequestSchema, { fieldViolations: [null] }, "field_violations"],
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
