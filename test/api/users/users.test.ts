import { describe, expect, it } from "vitest";
import { UserState } from "../../../gen/countersign/user/v3alpha/user_pb.ts";
import { protocols, shareTestApp } from "../../support/app.ts";
import { outcomeOf, refusalOf } from "../../support/errors.ts";

const inOrg = (value: string) => ({ org: { case: "orgId", value } }) as const;

const app = shareTestApp();

describe.each(protocols)("over %s", (protocol) => {
  it("CreateUser takes an id or creates one, and GetUserByID returns the user", async () => {
    const client = await app().admin(protocol);
    const userId = `u/1 ü% ${protocol}`;
    const named = await client.createUser({
      userId,
      organization: inOrg("o"),
      preferredLanguage: "en-gb",
      displayName: "Mini Mouse",
    });
    expect(named).toMatchObject({ userId, details: { sequence: 1n, resourceOwner: "o" } });
    const { user } = await client.getUserByID({ userId });
    expect(user).toMatchObject({
      userId,
      state: UserState.ACTIVE,
      preferredLanguage: "en-GB",
      displayName: "Mini Mouse",
      details: named.details,
    });
    const unnamed = await client.createUser({ organization: inOrg("o") });
    expect(unnamed.userId).toMatch(/^[1-9][0-9]{17,18}$/);
  });

  it("CreateUser refuses an id that is taken, in any organization", async () => {
    const client = await app().admin(protocol);
    const userId = `taken ${protocol}`;
    await client.createUser({ userId, organization: inOrg("o") });
    for (const org of ["o", "p"]) {
      const refusal = await refusalOf(client.createUser({ userId, organization: inOrg(org) }));
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
    ["U+0000 in the id", { organization: inOrg("o"), userId: "a\0b" }, "user_id"],
    [
      "a line break in the name",
      { organization: inOrg("o"), displayName: "a\r\nBcc: e@evil" },
      "display_name",
    ],
    [
      "an invalid language tag",
      { organization: inOrg("o"), preferredLanguage: "not a language" },
      "preferred_language",
    ],
  ] as const)("CreateUser refuses %s and names the field", async (_name, request, field) => {
    const refusal = await refusalOf((await app().admin(protocol)).createUser(request));
    expect(refusal).toMatchObject({ code: "InvalidArgument", reason: "REQUEST_INVALID", fields: [field] });
  });

  it("CreateUser accepts an id of 200 characters of any script", async () => {
    const client = await app().admin(protocol);
    const userId = [...(protocol + "𝓊".repeat(200))].slice(0, 200).join("");
    await client.createUser({ userId, organization: inOrg("o") });
    expect((await client.getUserByID({ userId })).user?.userId).toBe(userId);
  });
});

describe("a user that does not exist", () => {
  it("is NOT_FOUND for a caller with permission", async () => {
    const client = await app().admin();
    expect(await refusalOf(client.getUserByID({ userId: "absent" }))).toMatchObject({
      code: "NotFound",
      reason: "USER_NOT_FOUND",
    });
    const add = client.addOTPEmail({ userId: "absent", email: { address: "a@x.io" } });
    expect(await outcomeOf(add)).toBe("USER_NOT_FOUND");
  });
});
