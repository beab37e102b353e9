import { describe, expect, it } from "vitest";
import { UserState } from "../../../gen/countersign/user/v3alpha/user_pb.ts";
import { protocols, startTestApp } from "../../support/app.ts";
import { outcomeOf, refusalOf } from "../../support/errors.ts";

const inOrg = (value: string) => ({ org: { case: "orgId", value } }) as const;

describe.each(protocols)("users over %s", (protocol) => {
  it("are created with an id of the caller or of the service, and read back", async () => {
    const test = await startTestApp();
    const client = await test.admin(protocol);
    const named = await client.createUser({
      userId: "u/1 ü%",
      organization: inOrg("o"),
      preferredLanguage: "en-gb",
      displayName: "Mini Mouse",
    });
    expect(named).toMatchObject({ userId: "u/1 ü%", details: { sequence: 1n, resourceOwner: "o" } });
    const { user } = await client.getUserByID({ userId: "u/1 ü%" });
    expect(user).toMatchObject({
      userId: "u/1 ü%",
      state: UserState.ACTIVE,
      preferredLanguage: "en-GB",
      displayName: "Mini Mouse",
      details: named.details,
    });
    const unnamed = await client.createUser({ organization: inOrg("o") });
    expect(unnamed.userId).toMatch(/^[1-9][0-9]{17,18}$/);
  });

  it("are refused twice, whichever organization asks", async () => {
    const test = await startTestApp();
    const client = await test.admin(protocol);
    await client.createUser({ userId: "u", organization: inOrg("o") });
    for (const org of ["o", "p"]) {
      const refusal = await refusalOf(client.createUser({ userId: "u", organization: inOrg(org) }));
      expect(refusal).toMatchObject({
        code: "AlreadyExists",
        reason: "USER_ALREADY_EXISTS",
        domain: "countersign",
      });
    }
  });

  it.each([
    ["no organization", {}, "organization.org_id"],
    ["an empty organization", { organization: inOrg("") }, "organization.org_id"],
    ["a domain", { organization: { org: { case: "orgDomain", value: "x.io" } } }, "organization.org_domain"],
    ["an empty id", { organization: inOrg("o"), userId: "" }, "user_id"],
    ["an id of 201 characters", { organization: inOrg("o"), userId: "x".repeat(201) }, "user_id"],
    ["U+0000 in an id", { organization: inOrg("o"), userId: "a\0b" }, "user_id"],
    ["a line feed in a name", { organization: inOrg("o"), displayName: "a\r\nBcc: e@evil" }, "display_name"],
    [
      "a language that is none",
      { organization: inOrg("o"), preferredLanguage: "not a language" },
      "preferred_language",
    ],
  ] as const)("are refused with %s, and the field is named", async (_name, request, field) => {
    const test = await startTestApp();
    const refusal = await refusalOf((await test.admin(protocol)).createUser(request));
    expect(refusal).toMatchObject({ code: "InvalidArgument", reason: "REQUEST_INVALID", fields: [field] });
  });

  it("take 200 characters of any script as an id", async () => {
    const test = await startTestApp();
    const client = await test.admin(protocol);
    const userId = "𝓊".repeat(200);
    await client.createUser({ userId, organization: inOrg("o") });
    expect((await client.getUserByID({ userId })).user?.userId).toBe(userId);
  });
});

describe("a user that is not there", () => {
  it("is NOT_FOUND to a caller that may know", async () => {
    const test = await startTestApp();
    const client = await test.admin();
    expect(await refusalOf(client.getUserByID({ userId: "absent" }))).toMatchObject({
      code: "NotFound",
      reason: "USER_NOT_FOUND",
    });
    const add = client.addOTPEmail({ userId: "absent", email: { address: "a@x.io" } });
    expect(await outcomeOf(add)).toBe("USER_NOT_FOUND");
  });
});
