import { describe, expect, it } from "vitest";
import { ChallengeService } from "../../gen/countersign/user/v3alpha/challenge_service_pb.ts";
import { UserService } from "../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { Health } from "../../gen/health/v1/health_pb.ts";
import { createChallengeService } from "../../src/api/challenges/challenge-service.ts";
import { servePublic } from "../../src/api/methods.ts";
import { createUserService } from "../../src/api/users/user-service.ts";
import { accessToOrganization, accessToUser, type Rule } from "../../src/auth/permissions.ts";
import type { Permission, Principal } from "../../src/auth/principal.ts";
import {
  type ChallengeClient,
  type Protocol,
  protocols,
  shareTestApp,
  startTestApp,
  type TestApp,
  type UserClient,
} from "../support/app.ts";
import { MovableClock } from "../support/clock.ts";
import { outcomeOf, refusalOf } from "../support/errors.ts";
import { addUser } from "../support/users.ts";

function principal(subject: string, grants: Partial<Record<Permission, "all" | string[]>>): Principal {
  const entries = Object.entries(grants).map(([permission, orgs]) => [
    permission,
    orgs === "all" ? orgs : new Set(orgs),
  ]);
  return { subject, issuer: "urn:test", grants: new Map(entries as [Permission, "all" | Set<string>][]) };
}

describe("the tables of methods", () => {
  it("have a rule for each method, and only Health and ServerReflection are public", () => {
    const nothing = {} as never;
    const tables = {
      UserService: createUserService(nothing).admissions,
      ChallengeService: createChallengeService(nothing).admissions,
      Health: servePublic(Health, nothing).admissions,
      ServerReflection: servePublic(ServerReflection, nothing).admissions,
    };
    for (const { name, methods } of [UserService, ChallengeService, Health, ServerReflection]) {
      const names = methods.map((method) => `${name}.${method.name}`);
      expect(Object.keys(tables[name as keyof typeof tables]).sort()).toEqual(names.sort());
    }
    expect(new Set(Object.values(tables.Health))).toEqual(new Set(["public"]));
    const guarded = { ...tables.UserService, ...tables.ChallengeService };
    expect(Object.values(guarded)).not.toContain("public");
  });
});

describe("access", () => {
  const rule: Rule = { anyOf: ["user.write"], target: "user", self: true };
  it.each([
    ["user.write in all organizations", principal("s", { "user.write": "all" }), "u", "o", "granted"],
    ["user.write in the organization", principal("s", { "user.write": ["o"] }), "u", "o", "granted"],
    ["user.write in another organization", principal("s", { "user.write": ["p"] }), "u", "o", "hidden"],
    [
      "user.write if there is no such user",
      principal("s", { "user.write": "all" }),
      "u",
      undefined,
      "hidden",
    ],
    ["another permission", principal("s", { "user.read": "all" }), "u", "o", "denied"],
    [
      "another permission if there is no such user",
      principal("s", { "user.read": "all" }),
      "u",
      undefined,
      "denied",
    ],
    ["no permission", principal("s", {}), "u", "o", "denied"],
    ["no permission if there is no such user", principal("s", {}), "u", undefined, "denied"],
    ["the user itself", principal("u", {}), "u", "o", "self"],
    [
      "the user itself with user.write in another organization",
      principal("u", { "user.write": ["p"] }),
      "u",
      "o",
      "self",
    ],
    ["the user itself with user.write", principal("u", { "user.write": ["o"] }), "u", "o", "granted"],
  ] as const)("to a user with %s", (_name, caller, userId, orgId, access) => {
    expect(accessToUser(caller, rule, { userId, orgId })).toBe(access);
  });

  it("to an organization needs the permission there", () => {
    const create: Rule = { anyOf: ["user.write"], target: "organization", self: false };
    expect(accessToOrganization(principal("s", { "user.write": ["o"] }), create, "o")).toBe("granted");
    expect(accessToOrganization(principal("s", { "user.write": ["o"] }), create, "p")).toBe("denied");
    expect(accessToOrganization(principal("o", {}), create, "o")).toBe("denied");
  });
});

type Client = UserClient & ChallengeClient;

function clientOf(test: TestApp, token: string | undefined, protocol: Protocol): Client {
  return { ...test.client(token, protocol), ...test.challengeClient(token, protocol) };
}

const challenge = { otpEmailId: "1", challengeId: "1" };

/** A call of each method, for a user. */
const calls: Record<string, (client: Client, userId: string) => Promise<unknown>> = {
  addOTPEmail: (client, userId) => client.addOTPEmail({ userId, email: { address: "a@x.io" } }),
  verifyOTPEmail: (client, userId) => client.verifyOTPEmail({ userId, otpEmailId: "1", code: "00000000" }),
  resendOTPEmailCode: (client, userId) => client.resendOTPEmailCode({ userId, otpEmailId: "1" }),
  listOTPEmails: (client, userId) => client.listOTPEmails({ userId }),
  getOTPEmail: (client, userId) => client.getOTPEmail({ userId, otpEmailId: "1" }),
  removeOTPEmail: (client, userId) => client.removeOTPEmail({ userId, otpEmailId: "1" }),
  unlockOTPEmail: (client, userId) => client.unlockOTPEmail({ userId, otpEmailId: "1" }),
  createUser: (client, userId) =>
    client.createUser({ userId, organization: { org: { case: "orgId", value: "o" } } }),
  getUserByID: (client, userId) => client.getUserByID({ userId }),
  listUsers: (client) => client.listUsers({}),
  deactivateUser: (client, userId) => client.deactivateUser({ userId }),
  reactivateUser: (client, userId) => client.reactivateUser({ userId }),
  lockUser: (client, userId) => client.lockUser({ userId }),
  unlockUser: (client, userId) => client.unlockUser({ userId }),
  listEvents: (client, userId) => client.listEvents({ userId }),
  watchEvents: async (client) => {
    for await (const message of client.watchEvents({})) return message;
    throw new Error("the stream ended without a message");
  },
  createOTPEmailChallenge: (client, userId) =>
    client.createOTPEmailChallenge({ userId, otpEmailId: "1", audience: "a" }),
  verifyOTPEmailChallenge: (client, userId) =>
    client.verifyOTPEmailChallenge({ ...challenge, userId, code: "000000" }),
  getOTPEmailChallenge: (client, userId) => client.getOTPEmailChallenge({ ...challenge, userId }),
  cancelOTPEmailChallenge: (client, userId) => client.cancelOTPEmailChallenge({ ...challenge, userId }),
  deleteUser: (client, userId) => client.deleteUser({ userId }),
};

/** Methods without a user_id that must exist. */
const withoutUser = ["createUser", "listUsers", "watchEvents"];

/** The REST client of the tests does not support streams. */
function callsOver(protocol: Protocol): [string, (typeof calls)[string]][] {
  return Object.entries(calls).filter(([name]) => protocol !== "REST" || name !== "watchEvents");
}

async function addUsers(test: TestApp): Promise<void> {
  const admin = await test.admin();
  await addUser(admin, "a", "o");
  await addUser(admin, "b", "p");
}

async function startWithUsers(): Promise<TestApp> {
  const test = await startTestApp();
  await addUsers(test);
  return test;
}

const callers = {
  "user.write": ["user.write"],
  "user.read": ["user.read"],
  "otp.challenge": ["otp.challenge"],
  self: [],
  "no permission": [],
} satisfies Record<string, Permission[]>;

/** The callers that may call a method for a user of their organization. */
const mayCall: Record<string, (keyof typeof callers)[]> = {
  addOTPEmail: ["user.write", "self"],
  verifyOTPEmail: ["user.write", "self"],
  resendOTPEmailCode: ["user.write", "self"],
  listOTPEmails: ["user.write", "user.read", "otp.challenge", "self"],
  getOTPEmail: ["user.write", "user.read", "otp.challenge", "self"],
  removeOTPEmail: ["user.write", "self"],
  unlockOTPEmail: ["user.write"],
  createUser: ["user.write"],
  getUserByID: ["user.write", "user.read", "self"],
  listUsers: ["user.write", "user.read"],
  deactivateUser: ["user.write"],
  reactivateUser: ["user.write"],
  lockUser: ["user.write"],
  unlockUser: ["user.write"],
  listEvents: ["user.write", "user.read"],
  watchEvents: ["user.write", "user.read"],
  createOTPEmailChallenge: ["otp.challenge", "self"],
  verifyOTPEmailChallenge: ["otp.challenge", "self"],
  getOTPEmailChallenge: ["otp.challenge", "self"],
  cancelOTPEmailChallenge: ["otp.challenge", "self"],
  deleteUser: ["user.write"],
};

describe.each(["Connect JSON", "REST"] as const)("over %s", (protocol) => {
  it.each(Object.entries(callers))(
    "T16 allows the methods of %s and no others",
    async (caller, permissions) => {
      const test = await startWithUsers();
      const token = await test.token(caller === "self" ? "a" : "s", { org: "o", permissions });
      const client = clientOf(test, token, protocol);
      const allowed: string[] = [];
      for (const [name, call] of callsOver(protocol)) {
        if ((await outcomeOf(call(client, "a"))) !== "PERMISSION_MISSING") allowed.push(name);
      }
      const names = callsOver(protocol).map(([name]) => name);
      expect(allowed).toEqual(names.filter((name) => mayCall[name]?.some((other) => other === caller)));
    },
  );
});

describe.each(protocols)("over %s", (protocol) => {
  const app = shareTestApp({ setUp: addUsers });

  it("T16 a caller without permission gets the same error whether or not the user exists", async () => {
    const test = app();
    const methods = [UserService, ChallengeService].flatMap((service) => [...service.methods]);
    expect(Object.keys(calls).sort()).toEqual(methods.map((m) => m.localName).sort());
    expect(Object.keys(mayCall).sort()).toEqual(Object.keys(calls).sort());
    const stranger = clientOf(test, await test.token("b"), protocol);
    for (const [name, call] of callsOver(protocol)) {
      const existing = await refusalOf(call(stranger, "a"));
      const absent = await refusalOf(call(stranger, "absent"));
      expect(existing, name).toMatchObject({ code: "PermissionDenied", reason: "PERMISSION_MISSING" });
      expect({ ...absent, headers: undefined }, name).toEqual({ ...existing, headers: undefined });
    }
  });

  it("T12 a caller of another organization gets the same error as for an absent user", async () => {
    const test = app();
    const permissions: Permission[] = ["user.write", "otp.challenge"];
    const token = await test.token("service", { org: "p", permissions });
    const other = clientOf(test, token, protocol);
    for (const [name, call] of callsOver(protocol)) {
      if (withoutUser.includes(name)) continue;
      const foreign = await refusalOf(call(other, "a"));
      const absent = await refusalOf(call(other, "absent"));
      expect(foreign, name).toMatchObject({ code: "NotFound", reason: "USER_NOT_FOUND" });
      expect({ ...absent, headers: undefined }, name).toEqual({ ...foreign, headers: undefined });
    }
    expect(await outcomeOf(calls.createUser!(other, "c"))).toBe("PERMISSION_MISSING");
  });

  it("T16 a call without a valid token has no effect, and the challenge says why", async () => {
    const test = app();
    const twoHoursAgo = new MovableClock(test.clock.now() - 2 * 3_600_000);
    const claims = { subject: "admin", audience: "countersign", permissions: ["user.write"] } as const;
    const expired = await test.app.localIssuer!.issue({ ...claims, ttlMs: 3_600_000 }, twoHoursAgo);
    for (const [token, reason, challenge] of [
      [undefined, "TOKEN_MISSING", /^Bearer realm="countersign"$/],
      ["not.a.token", "TOKEN_INVALID", /^Bearer realm="countersign", error="invalid_token"/],
      [expired, "TOKEN_EXPIRED", /^Bearer realm="countersign", error="invalid_token"/],
    ] as const) {
      const client = clientOf(test, token, protocol);
      for (const [, call] of callsOver(protocol)) {
        const refusal = await refusalOf(call(client, "a"));
        expect(refusal).toMatchObject({ code: "Unauthenticated", reason, domain: "countersign" });
        expect(refusal.headers.get("www-authenticate")).toMatch(challenge);
      }
    }
    const events = await test.app.store.db.selectFrom("events").select("user_id").execute();
    expect(events).toHaveLength(2);
  });

  it("T48 a user can neither vouch for itself nor have its code returned", async () => {
    const test = await startWithUsers();
    const self = clientOf(test, await test.token("a"), protocol);
    const verifications = [
      { case: "isVerified", value: true } as const,
      { case: "returnCode", value: {} } as const,
    ];
    for (const verification of verifications) {
      const refusal = await refusalOf(
        self.addOTPEmail({ userId: "a", email: { address: "a@x.io", verification } }),
      );
      expect(refusal).toMatchObject({ code: "PermissionDenied", reason: "PERMISSION_MISSING" });
    }
    const { user } = await self.getUserByID({ userId: "a" });
    expect(user?.authenticators?.otpEmail).toEqual([]);
    expect(await outcomeOf(calls.addOTPEmail!(self, "a"))).toBe("OK");
  });

  it("user.read allows reading and not writing", async () => {
    const test = app();
    const token = await test.token("reader", { org: "o", permissions: ["user.read"] });
    const reader = clientOf(test, token, protocol);
    expect(await outcomeOf(calls.getUserByID!(reader, "a"))).toBe("OK");
    expect(await outcomeOf(calls.getUserByID!(reader, "b"))).toBe("USER_NOT_FOUND");
    expect(await outcomeOf(calls.addOTPEmail!(reader, "a"))).toBe("PERMISSION_MISSING");
  });

  it("the token is checked first, then the message, then the permission", async () => {
    const test = app();
    const invalid = (client: UserClient) =>
      client.addOTPEmail({ userId: "a", email: { address: "no address" } });
    expect(await outcomeOf(invalid(test.client(undefined, protocol)))).toBe("TOKEN_MISSING");
    expect(await outcomeOf(invalid(test.client(await test.token("b"), protocol)))).toBe("EMAIL_INVALID");
    expect(await outcomeOf(calls.addOTPEmail!(clientOf(test, await test.token("b"), protocol), "a"))).toBe(
      "PERMISSION_MISSING",
    );
  });
});

describe("unknown fields", () => {
  it("T15 have no effect", async () => {
    const test = await startWithUsers();
    const post = async (path: string, body: unknown) => {
      const response = await fetch(test.origin + path, {
        method: "POST",
        headers: { authorization: `Bearer ${await test.token("a")}`, "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    };
    const extras = {
      isVerified: true,
      is_verified: true,
      verified: true,
      state: "READY",
      bypass_otp: 1,
      code_hash: "x",
      attempts: 0,
    };
    const added = await post("/v3alpha/users/a/otp_email", {
      ...extras,
      email: { address: "a@x.io", verified: true, state: "READY", bypass_otp: 1 },
    });
    expect(added.status).toBe(200);
    const verified = await post(`/v3alpha/users/a/otp_email/${added.body.otpEmailId}/verify`, {
      ...extras,
      code: "00000000",
    });
    expect(verified.status).toBe(400);
    const rows = await test.app.store.db
      .selectFrom("otp_emails")
      .select(["user_id", "verify_time"])
      .execute();
    expect(rows).toEqual([{ user_id: "a", verify_time: null }]);

    for (const userId of ["userId", "user_id"]) {
      const conflict = await post("/v3alpha/users/a/otp_email", {
        [userId]: "b",
        email: { address: "b@x.io" },
      });
      expect(conflict.status).toBe(400);
    }
  });
});
