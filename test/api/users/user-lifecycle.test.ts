import { describe, expect, it } from "vitest";
import { DeliveryState } from "../../../gen/countersign/user/v3alpha/otp_email_pb.ts";
import { UserState } from "../../../gen/countersign/user/v3alpha/user_pb.ts";
import type { UserState as StoredState } from "../../../src/db/core/schema.ts";
import { protocols, startTestApp, type TestApp, type UserClient } from "../../support/app.ts";
import { planOf } from "../../support/db/plan.ts";
import { outcomeOf, refusalOf } from "../../support/errors.ts";
import { startRelay } from "../../support/mail/relay.ts";
import { addPending, addUser, addVerified, eventTypes } from "../../support/users.ts";

const address = "mini@mouse.com";

async function startWithUser(environment: Record<string, string> = {}): Promise<TestApp> {
  const test = await startTestApp({ environment });
  await addUser(await test.admin());
  return test;
}

const changes = {
  deactivateUser: (client: UserClient) => client.deactivateUser({ userId: "u" }),
  reactivateUser: (client: UserClient) => client.reactivateUser({ userId: "u" }),
  lockUser: (client: UserClient) => client.lockUser({ userId: "u" }),
  unlockUser: (client: UserClient) => client.unlockUser({ userId: "u" }),
};

describe("the states of a user", () => {
  it.each<[StoredState, keyof typeof changes, string, StoredState]>([
    ["active", "deactivateUser", "OK", "inactive"],
    ["active", "reactivateUser", "USER_NOT_INACTIVE", "active"],
    ["active", "lockUser", "OK", "locked"],
    ["active", "unlockUser", "USER_NOT_LOCKED", "active"],
    ["inactive", "deactivateUser", "USER_NOT_ACTIVE", "inactive"],
    ["inactive", "reactivateUser", "OK", "active"],
    ["inactive", "lockUser", "USER_NOT_ACTIVE", "inactive"],
    ["inactive", "unlockUser", "USER_NOT_LOCKED", "inactive"],
    ["locked", "deactivateUser", "OK", "inactive"],
    ["locked", "reactivateUser", "USER_NOT_INACTIVE", "locked"],
    ["locked", "lockUser", "USER_NOT_ACTIVE", "locked"],
    ["locked", "unlockUser", "OK", "active"],
  ])("from %s by %s: %s, %s", async (from, call, outcome, to) => {
    const test = await startWithUser();
    const client = await test.admin();
    await test.app.store.write((trx) => trx.updateTable("users").set({ state: from }).execute());
    expect(await outcomeOf(changes[call](client))).toBe(outcome);
    const { user } = await client.getUserByID({ userId: "u" });
    expect(user?.state).toBe(UserState[to.toUpperCase() as "ACTIVE"]);
    expect(user?.details?.sequence).toBe(outcome === "OK" ? 2n : 1n);
    if (outcome !== "OK") {
      expect(await refusalOf(changes[call](client))).toMatchObject({ code: "FailedPrecondition" });
    }
  });

  it("change once of 50 calls at once", async () => {
    const test = await startWithUser();
    const client = await test.admin("gRPC");
    for (const [call, type] of [
      ["lockUser", "user.locked"],
      ["unlockUser", "user.unlocked"],
      ["deactivateUser", "user.deactivated"],
      ["reactivateUser", "user.reactivated"],
    ] as const) {
      const outcomes = await Promise.all(Array.from({ length: 50 }, () => outcomeOf(changes[call](client))));
      expect(outcomes.filter((o) => o === "OK")).toHaveLength(1);
      expect((await eventTypes(test)).filter((t) => t === type)).toHaveLength(1);
    }
  });

  it.each(["lockUser", "deactivateUser"] as const)(
    "T20 after %s nothing can be added or proved",
    async (call) => {
      const test = await startWithUser();
      const client = await test.admin();
      const self = test.client(await test.token("u"));
      const { otpEmailId, code } = await addPending(client);
      const name = { userId: "u", otpEmailId };
      await changes[call](client);
      for (const [who, by] of [
        ["admin", client],
        ["self", self],
      ] as const) {
        expect(await outcomeOf(by.addOTPEmail({ userId: "u", email: { address: "b@x.io" } })), who).toBe(
          "USER_NOT_ACTIVE",
        );
        expect(await outcomeOf(by.verifyOTPEmail({ ...name, code })), who).toBe("USER_NOT_ACTIVE");
        expect(await outcomeOf(by.resendOTPEmailCode(name)), who).toBe("USER_NOT_ACTIVE");
        expect(await outcomeOf(by.getOTPEmail(name)), who).toBe("OK");
      }
      expect(await outcomeOf(self.removeOTPEmail(name))).toBe("USER_NOT_ACTIVE");
      expect((await client.getOTPEmail(name)).otpEmail?.failedAttemptsLeft).toBe(5);
      expect(await outcomeOf(client.removeOTPEmail(name))).toBe("OK");
    },
  );

  it("T20 a user that is locked meanwhile gets no mail, and support can see that", async () => {
    const relay = await startRelay();
    const environment = { COUNTERSIGN_SMTP_URL: `smtp://127.0.0.1:${relay.port}` };
    const test = await startWithUser(environment);
    await relay.stop();
    const client = await test.admin();
    const { otpEmailId } = await client.addOTPEmail({ userId: "u", email: { address } });
    const state = async () =>
      (await client.getOTPEmail({ userId: "u", otpEmailId })).otpEmail?.lastMail?.state;
    await expect.poll(state).toBe(DeliveryState.DEFERRED);
    await client.lockUser({ userId: "u" });
    const back = await startRelay({ port: relay.port });
    test.clock.move(3_000);
    await expect.poll(state).toBe(DeliveryState.SUPPRESSED);
    expect(back.received).toEqual([]);
  });
});

describe.each(protocols)("over %s", (protocol) => {
  it("a user is locked, unlocked, deactivated, reactivated, found and deleted", async () => {
    const test = await startWithUser();
    const client = await test.admin(protocol);
    await client.lockUser({ userId: "u", reason: "a stolen phone" });
    const locked = await client.listUsers({ state: UserState.LOCKED, orgId: "o" });
    expect(locked.users).toMatchObject([{ userId: "u", state: UserState.LOCKED }]);
    await client.unlockUser({ userId: "u" });
    await client.deactivateUser({ userId: "u" });
    await client.reactivateUser({ userId: "u" });
    const { details } = await client.deleteUser({ userId: "u", reason: "asked for it" });
    expect(details).toMatchObject({ sequence: 6n, resourceOwner: "o" });
    expect(await refusalOf(client.getUserByID({ userId: "u" }))).toMatchObject({
      code: "NotFound",
      reason: "USER_NOT_FOUND",
    });
    expect((await client.listUsers({})).users).toEqual([]);
    expect(await outcomeOf(client.deleteUser({ userId: "u" }))).toBe("USER_NOT_FOUND");
    const events = await test.app.store.db
      .selectFrom("events")
      .select(["type", "reason"])
      .orderBy("position")
      .execute();
    expect(events.map((e) => [e.type, e.reason])).toEqual([
      ["user.created", null],
      ["user.locked", "a stolen phone"],
      ["user.unlocked", null],
      ["user.deactivated", null],
      ["user.reactivated", null],
      ["user.deleted", "asked for it"],
    ]);
  });
});

describe("DeleteUser", () => {
  it("leaves no address, no mail, and no client address of the user itself", async () => {
    const relay = await startRelay();
    const test = await startWithUser({ COUNTERSIGN_SMTP_URL: `smtp://127.0.0.1:${relay.port}` });
    await relay.stop();
    const client = await test.admin();
    const self = test.client(await test.token("u"));
    await self.addOTPEmail({ userId: "u", email: { address } });
    const waiting = await addPending(client);
    await client.deleteUser({ userId: "u" });
    const { db } = test.app.store;
    for (const table of ["users", "otp_emails", "outbox"] as const) {
      expect(await db.selectFrom(table).selectAll().execute(), table).toEqual([]);
    }
    const events = await db.selectFrom("events").selectAll().orderBy("position").execute();
    expect(events.map((e) => [e.actor, e.type, e.client_address])).toEqual([
      ["admin", "user.created", "127.0.0.1"],
      ["u", "otp_email.added", null],
      ["admin", "otp_email.code_requested", "127.0.0.1"],
      ["admin", "user.deleted", "127.0.0.1"],
    ]);
    expect(JSON.stringify(events)).not.toContain("mouse");

    // Whoever takes the id begins anew, but for the count of its organization.
    await addUser(client, "u", "o");
    const { user } = await client.getUserByID({ userId: "u" });
    expect(user).toMatchObject({ details: { sequence: 5n }, authenticators: { otpEmail: [] } });
    const verify = client.verifyOTPEmail({ userId: "u", otpEmailId: waiting.otpEmailId, code: waiting.code });
    expect(await outcomeOf(verify)).toBe("OTP_EMAIL_NOT_FOUND");
    const again = await addPending(client);
    const old = client.verifyOTPEmail({ userId: "u", otpEmailId: again.otpEmailId, code: waiting.code });
    expect(await outcomeOf(old)).toBe("CODE_INVALID");
  });

  it("lets another organization take the id, which sees nothing of before", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    await client.deleteUser({ userId: "u" });
    await addUser(client, "u", "p");
    const { user } = await client.getUserByID({ userId: "u" });
    expect(user?.details).toMatchObject({ sequence: 1n, resourceOwner: "p" });
  });

  it("happens once of 50 times at once", async () => {
    const test = await startWithUser();
    const client = await test.admin("gRPC");
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () => outcomeOf(client.deleteUser({ userId: "u" }))),
    );
    expect(outcomes.filter((o) => o === "OK")).toHaveLength(1);
    expect(outcomes.filter((o) => o === "USER_NOT_FOUND")).toHaveLength(49);
    expect((await eventTypes(test)).filter((type) => type === "user.deleted")).toHaveLength(1);
  });

  it("while 50 calls add, verify and resend leaves nothing behind, and none of them fails unforeseen", async () => {
    const test = await startWithUser();
    const client = await test.admin("gRPC");
    const { otpEmailId, code } = await addPending(client);
    const wrong = "00000000";
    const calls = Array.from({ length: 50 }, (_, i) => {
      if (i === 20) return outcomeOf(client.deleteUser({ userId: "u" }));
      if (i % 4 === 0) return outcomeOf(addPending(client, "u", `a${i % 3}@x.io`));
      if (i % 4 === 1) return outcomeOf(client.resendOTPEmailCode({ userId: "u", otpEmailId }));
      return outcomeOf(client.verifyOTPEmail({ userId: "u", otpEmailId, code: i === 30 ? code : wrong }));
    });
    const outcomes = new Set(await Promise.all(calls));
    const foreseen = [
      "OK",
      "USER_NOT_FOUND",
      "OTP_EMAIL_NOT_FOUND",
      "OTP_EMAIL_ALREADY_VERIFIED",
      "CODE_INVALID",
      "CODE_USED",
      "ATTEMPTS_EXHAUSTED",
      "RESEND_TOO_SOON",
    ];
    expect([...outcomes].filter((o) => !foreseen.includes(o))).toEqual([]);
    const { db } = test.app.store;
    for (const table of ["users", "otp_emails", "outbox"] as const) {
      expect(await db.selectFrom(table).selectAll().execute(), table).toEqual([]);
    }
    expect((await eventTypes(test)).at(-1)).toBe("user.deleted");
  });
});

describe("ListUsers", () => {
  async function startWithMany(): Promise<TestApp> {
    const test = await startTestApp();
    const client = await test.admin();
    for (const [userId, orgId] of [
      ["b", "o"],
      ["a", "o"],
      ["d", "p"],
      ["c", "p"],
      ["e", "q"],
    ] as const) {
      await addUser(client, userId, orgId);
    }
    return test;
  }

  const idsOf = async (call: ReturnType<UserClient["listUsers"]>) => (await call).users.map((u) => u.userId);

  it("shows only organizations in which the caller may read, whatever it asks for", async () => {
    const test = await startWithMany();
    const reader = test.client(await test.token("s", { org: "p", permissions: ["user.read"] }));
    expect(await idsOf(reader.listUsers({}))).toEqual(["c", "d"]);
    expect(await idsOf(reader.listUsers({ orgId: "p" }))).toEqual(["c", "d"]);
    for (const orgId of ["o", "absent"]) {
      expect(await outcomeOf(reader.listUsers({ orgId }))).toBe("PERMISSION_MISSING");
    }
    const app = test.client(await test.token("s", { org: "p", permissions: ["otp.challenge"] }));
    expect(await outcomeOf(app.listUsers({}))).toBe("PERMISSION_MISSING");
    expect(await idsOf((await test.admin()).listUsers({}))).toEqual(["a", "b", "c", "d", "e"]);
  });

  it("filters by state and by address, in whichever case it is written", async () => {
    const test = await startWithMany();
    const client = await test.admin();
    await addVerified(client, "a", "Mini@mouse.com");
    await addPending(client, "d", "mini@MOUSE.com");
    await client.lockUser({ userId: "d" });
    const found = await client.listUsers({ emailAddress: "MINI@Mouse.COM" });
    expect(found.users.map((u) => [u.userId, u.authenticators?.otpEmail.map((e) => e.address)])).toEqual([
      ["a", ["Mini@mouse.com"]],
      ["d", ["mini@MOUSE.com"]],
    ]);
    expect(await idsOf(client.listUsers({ emailAddress: "mini@mouse.com", orgId: "o" }))).toEqual(["a"]);
    expect(await idsOf(client.listUsers({ state: UserState.LOCKED }))).toEqual(["d"]);
    expect(await idsOf(client.listUsers({ state: UserState.ACTIVE }))).toEqual(["a", "b", "c", "e"]);
  });

  it.each([1, 2, 3, 100])(
    "pages by %i, and what is created meanwhile repeats and hides nothing",
    async (pageSize) => {
      const test = await startWithMany();
      const client = await test.admin();
      const seen: string[] = [];
      let pageToken = "";
      for (let pages = 0; pages === 0 || pageToken !== ""; pages++) {
        const reply = await client.listUsers({ pageSize, pageToken });
        expect(reply.users.length).toBeLessThanOrEqual(pageSize);
        seen.push(...reply.users.map((u) => u.userId));
        pageToken = reply.nextPageToken;
        await addUser(client, `0-${pages}`, "a");
        await addUser(client, `z-${pages}`, "z");
        if (pages > 20) break;
      }
      const before = ["a", "b", "c", "d", "e"];
      expect(seen.filter((id) => before.includes(id))).toEqual(before);
      expect(new Set(seen).size).toBe(seen.length);
    },
  );

  it("returns 50 without a page_size, and never more than 100", async () => {
    const test = await startTestApp();
    const client = await test.admin("gRPC");
    await Promise.all(Array.from({ length: 120 }, (_, i) => addUser(client, `user-${i}`)));
    expect((await client.listUsers({})).users).toHaveLength(50);
    expect((await client.listUsers({ pageSize: 1_000 })).users).toHaveLength(100);
  });

  it("T37 refuses a page token of another filter or another caller's organizations", async () => {
    const test = await startWithMany();
    const client = await test.admin();
    const { nextPageToken: pageToken } = await client.listUsers({ pageSize: 1 });
    const reader = test.client(await test.token("s", { org: "p", permissions: ["user.read"] }));
    for (const call of [
      client.listUsers({ pageToken, state: UserState.ACTIVE }),
      client.listUsers({ pageToken, orgId: "o" }),
      client.listUsers({ pageToken, emailAddress: address }),
      reader.listUsers({ pageToken }),
    ]) {
      const refusal = await refusalOf(call);
      expect(refusal).toMatchObject({
        code: "InvalidArgument",
        reason: "PAGE_TOKEN_INVALID",
        fields: ["page_token"],
      });
    }
  });

  it.each([
    ["no address", { emailAddress: "%" }, "email_address"],
    ["no organization", { orgId: "" }, "org_id"],
    ["the state of users that are gone", { state: UserState.DELETED }, "state"],
    ["a state that is none", { state: 99 as UserState }, "state"],
    ["a negative page", { pageSize: -1 }, "page_size"],
  ])("T37 T38 refuses a filter with %s", async (_name, request, field) => {
    const test = await startTestApp();
    expect(await refusalOf((await test.admin()).listUsers(request))).toMatchObject({
      code: "InvalidArgument",
      fields: [field],
    });
  });

  it("T37 names no column that is secret, and takes no SQL", async () => {
    const test = await startWithMany();
    const headers = {
      authorization: `Bearer ${await test.token("s", { permissions: ["user.read"] })}`,
      "content-type": "application/json",
    };
    for (const body of [
      { filter: 'code_salt.startsWith("a")' },
      { orderBy: "code_salt" },
      { order_by: "code_salt" },
      { readMask: "*" },
      { orgId: "' OR '1'='1" },
    ]) {
      const reply = await fetch(`${test.origin}/v3alpha/users/search`, {
        method: "POST",
        headers,
        body: JSON.stringify(body),
      });
      const text = await reply.text();
      expect(text).not.toMatch(/salt|attempts_|SQL/i);
      if ("orgId" in body) expect(JSON.parse(text)).toEqual({});
    }
  });

  it("walks an index and sorts nothing", async () => {
    const test = await startTestApp();
    const plans = [
      "org_id in ('o', 'p')",
      "org_id in ('o', 'p') and state = 'locked'",
      "org_id = 'o' and (org_id, user_id) > ('o', 'u')",
      "true",
    ];
    for (const where of plans) {
      const select = `select * from users where ${where} order by org_id, user_id limit 51`;
      const plan = await planOf(test.app.store.db, select);
      expect(plan, where).toMatch(/using (covering )?index users_|index (only )?scan using users_/i);
      expect(plan, where).not.toMatch(/TEMP B-TREE|Sort/);
    }
  });
});
