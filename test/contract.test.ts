import { readdirSync, readFileSync } from "node:fs";
import { fromBinary, getOption, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ChallengeService } from "../gen/countersign/user/v3alpha/challenge_service_pb.ts";
import { file_countersign_user_v3alpha_details as details } from "../gen/countersign/user/v3alpha/details_pb.ts";
import { file_countersign_user_v3alpha_otp_email as otpEmail } from "../gen/countersign/user/v3alpha/otp_email_pb.ts";
import { file_countersign_user_v3alpha_user as user } from "../gen/countersign/user/v3alpha/user_pb.ts";
import {
  AddOTPEmailRequestSchema,
  AddOTPEmailResponseSchema,
  UserService,
  file_countersign_user_v3alpha_user_service as userService,
} from "../gen/countersign/user/v3alpha/user_service_pb.ts";
import { http } from "../gen/google/api/annotations_pb.ts";

const messages = new Map(
  [details, otpEmail, user, userService].flatMap((file) => file.messages.map((m) => [m.name, m])),
);

/** The published `zitadel.user.v3alpha` messages: field, number, JSON name. Clients generated from them must work. */
describe("compatibility with the published API", () => {
  it.each<[string, [string, number, string][]]>([
    [
      "AddOTPEmailRequest",
      [
        ["user_id", 1, "userId"],
        ["email", 2, "email"],
      ],
    ],
    [
      "SetEmail",
      [
        ["address", 1, "address"],
        ["send_code", 2, "sendCode"],
        ["return_code", 3, "returnCode"],
        ["is_verified", 4, "isVerified"],
      ],
    ],
    ["SendEmailVerificationCode", [["url_template", 1, "urlTemplate"]]],
    ["ReturnEmailVerificationCode", []],
    [
      "AddOTPEmailResponse",
      [
        ["details", 1, "details"],
        ["otp_email_id", 2, "otpEmailId"],
        ["verification_code", 3, "verificationCode"],
      ],
    ],
    [
      "RemoveOTPEmailRequest",
      [
        ["user_id", 1, "userId"],
        ["otp_email_id", 2, "otpEmailId"],
      ],
    ],
    ["RemoveOTPEmailResponse", [["details", 1, "details"]]],
    [
      "VerifyOTPEmailRequest",
      [
        ["user_id", 1, "userId"],
        ["otp_email_id", 2, "otpEmailId"],
        ["code", 3, "code"],
      ],
    ],
    ["VerifyOTPEmailResponse", [["details", 1, "details"]]],
    [
      "Details",
      [
        ["sequence", 1, "sequence"],
        ["change_date", 2, "changeDate"],
        ["resource_owner", 3, "resourceOwner"],
      ],
    ],
    [
      "OTPEmail",
      [
        ["otp_email_id", 1, "otpEmailId"],
        ["address", 2, "address"],
        ["is_verified", 3, "isVerified"],
      ],
    ],
    [
      "Organization",
      [
        ["org_id", 1, "orgId"],
        ["org_domain", 2, "orgDomain"],
      ],
    ],
    [
      "CreateUserRequest",
      [
        ["user_id", 1, "userId"],
        ["organization", 2, "organization"],
      ],
    ],
    [
      "CreateUserResponse",
      [
        ["user_id", 1, "userId"],
        ["details", 2, "details"],
      ],
    ],
    [
      "User",
      [
        ["user_id", 1, "userId"],
        ["details", 2, "details"],
        ["authenticators", 3, "authenticators"],
        ["state", 5, "state"],
      ],
    ],
    ["Authenticators", [["otp_email", 6, "otpEmail"]]],
  ])("%s has the published fields", (name, fields) => {
    const message = messages.get(name)!;
    // Our own fields have numbers from 10.
    const published = message.fields.filter((field) => field.number < 10);
    expect(published.map((field) => [field.name, field.number, field.jsonName])).toEqual(fields);
  });

  it("messages have the published encoding", () => {
    const bytes = Buffer.from("0a047573657212100a0e6d696e69406d6f7573652e636f6d", "hex");
    const request = fromBinary(AddOTPEmailRequestSchema, bytes);
    expect(request).toMatchObject({
      userId: "user",
      email: { address: "mini@mouse.com", verification: { case: undefined } },
    });
    const reply = {
      $typeName: AddOTPEmailResponseSchema.typeName,
      otpEmailId: "7",
      verificationCode: "C",
    } as const;
    expect(Buffer.from(toBinary(AddOTPEmailResponseSchema, reply)).toString("hex")).toBe("1201371a0143");
  });

  it("methods have stable paths", () => {
    const paths = [...UserService.methods, ...ChallengeService.methods].map((method) => {
      const { pattern, body } = getOption(method, http);
      return [method.name, pattern.case, pattern.value, body];
    });
    expect(paths).toEqual([
      ["AddOTPEmail", "post", "/v3alpha/users/{user_id}/otp_email", "*"],
      ["VerifyOTPEmail", "post", "/v3alpha/users/{user_id}/otp_email/{otp_email_id}/verify", "*"],
      ["ResendOTPEmailCode", "post", "/v3alpha/users/{user_id}/otp_email/{otp_email_id}/resend", "*"],
      ["ListOTPEmails", "get", "/v3alpha/users/{user_id}/otp_email", ""],
      ["GetOTPEmail", "get", "/v3alpha/users/{user_id}/otp_email/{otp_email_id}", ""],
      ["RemoveOTPEmail", "delete", "/v3alpha/users/{user_id}/otp_email/{otp_email_id}", ""],
      ["UnlockOTPEmail", "post", "/v3alpha/users/{user_id}/otp_email/{otp_email_id}/unlock", "*"],
      ["CreateUser", "post", "/v3alpha/users", "*"],
      ["GetUserByID", "get", "/v3alpha/users/{user_id}", ""],
      ["ListUsers", "post", "/v3alpha/users/search", "*"],
      ["DeactivateUser", "post", "/v3alpha/users/{user_id}/deactivate", "*"],
      ["ReactivateUser", "post", "/v3alpha/users/{user_id}/reactivate", "*"],
      ["LockUser", "post", "/v3alpha/users/{user_id}/lock", "*"],
      ["UnlockUser", "post", "/v3alpha/users/{user_id}/unlock", "*"],
      ["DeleteUser", "delete", "/v3alpha/users/{user_id}", ""],
      ["ListEvents", "get", "/v3alpha/users/{user_id}/events", ""],
      ["WatchEvents", "get", "/v3alpha/events:watch", ""],
      [
        "CreateOTPEmailChallenge",
        "post",
        "/v3alpha/users/{user_id}/otp_email/{otp_email_id}/challenges",
        "*",
      ],
      [
        "VerifyOTPEmailChallenge",
        "post",
        "/v3alpha/users/{user_id}/otp_email/{otp_email_id}/challenges/{challenge_id}/verify",
        "*",
      ],
      [
        "GetOTPEmailChallenge",
        "get",
        "/v3alpha/users/{user_id}/otp_email/{otp_email_id}/challenges/{challenge_id}",
        "",
      ],
      [
        "CancelOTPEmailChallenge",
        "delete",
        "/v3alpha/users/{user_id}/otp_email/{otp_email_id}/challenges/{challenge_id}",
        "",
      ],
    ]);
  });
});

describe("the proto comments", () => {
  it("describe every field and give an example", () => {
    const folder = new URL("../proto/countersign/user/v3alpha/", import.meta.url);
    const fields = readdirSync(folder).flatMap((name) => {
      const text = readFileSync(new URL(name, folder), "utf8");
      return [
        ...text.matchAll(/((?: *\/\/.*\n)*) *(?:optional |repeated )?[\w.]+ (\w+) = \d+(?: \[|;)/g),
      ].map(([, comment = "", field = ""]) => ({ field, comment }));
    });
    const values = /^(USER|DELIVERY|CHALLENGE)_STATE_/;
    expect(fields.length).toBeGreaterThan(30);
    for (const { field, comment } of fields.filter(({ field }) => !values.test(field))) {
      expect(comment, field).toMatch(/^ *\/\/ \w/);
      expect(comment, field).toMatch(/\/\/ Example: \S/);
    }
  });
});
