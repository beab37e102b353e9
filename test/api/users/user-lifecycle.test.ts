import { describe, expect, it } from "vitest";
import { DeliveryState } from "../../../gen/countersign/user/v3alpha/otp_email_pb.ts";
import { UserState } from "../../../gen/countersign/user/v3alpha/user_pb.ts";
import type { UserState as StoredState } from "../../../src/db/core/schema.ts";
import { protocols, shareTestApp, startTestApp, type TestApp, type UserClient } from "../../support/app.ts";
import { planOf } from "../../support/db/plan.ts";
import { outcomeOf, refusalOf } from "../../support/errors.ts";
import { startRelay } from "../../support/mail/relay.ts";
import { addPending, addUser, addVerified, eventTypes, newUser } from "../../support/users.ts";

const address = "mini@mouse.com";

async function startWithUser(environment: Record<string, string> = {}): Promise<TestApp> {
  const test = await startTestApp({ environment });
  await addUser(await test.admin());
  return test;
}

type Change = "deactivateUser" | "reactivateUser" | "lockUser" | "unlockUser";

const app = shareTestApp();

describe("the state of a user", () => {
  it.each<[StoredState, Change, string, StoredState]>([
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
  ])("%s, after %s (%s), is %s", async (from, change, outcome, to) => {
    const client = await app().admin();
    const { userId } = await newUser(app());
    await app().app.store.write((trx) =>
      trx.updateTable("users").set({ state: from }).where("user_id", "=", userId).execute(),
    );
    expect(await outcomeOf(client[change]({ userId }))).toBe(outcome);
    const { user } = await client.getUserByID({ userId });
    expect(user?.state).toBe(UserState[to.toUpperCase() as "ACTIVE"]);
    expect(user?.details?.sequence).toBe(outcome === "OK" ? 2n : 1n);
    if (outcome !== "OK") {
      expect(await refusalOf(client[change]({ userId }))).toMatchObject({ code: "FailedPrecondition" });
    }
  });

  it("changes once for 50 concurrent calls", async () => {
    const client = await app().admin("gRPC");
    const { userId } = await newUser(app());
    for (const [change, type] of [
      ["lockUser", "user.locked"],
      ["unlockUser", "user.unlocked"],
      ["deactivateUser", "user.deactivated"],
      ["reactivateUser", "user.reactivated"],
    ] as const) {
      const calls = Array.from({ length: 50 }, () => outcomeOf(client[change]({ userId })));
      const outcomes = await Promise.all(calls);
      expect(outcomes.filter((o) => o === "OK")).toHaveLength(1);
      expect((await eventTypes(app(), userId)).filter((t) => t === type)).toHaveLength(1);
    }
  });

  it.each(["lockUser", "deactivateUser"] as const)(
    "T20 after %s does not allow adding or verifying",
    async (change) => {
      const client = await app().admin();
      const { userId } = await newUser(app());
      const self = app().client(await app().token(userId));
      const { otpEmailId, code } = await addPending(client, userId);
      const name = { userId, otpEmailId };
      await client[change]({ userId });
      for (const caller of [client, self]) {
        const add = caller.addOTPEmail({ userId, email: { address: "b@x.io" } });
        expect(await outcomeOf(add)).toBe("USER_NOT_ACTIVE");
        expect(await outcomeOf(caller.verifyOTPEmail({ ...name, code }))).toBe("USER_NOT_ACTIVE");
        expect(await outcomeOf(caller.resendOTPEmailCode(name))).toBe("USER_NOT_ACTIVE");
        expect(await outcomeOf(caller.getOTPEmail(name))).toBe("OK");
      }
      expect(await outcomeOf(self.removeOTPEmail(name))).toBe("USER_NOT_ACTIVE");
      expect((await client.getOTPEmail(name)).otpEmail?.failedAttemptsLeft).toBe(5);
      expect(await outcomeOf(client.removeOTPEmail(name))).toBe("OK");
    },
  );

  it("T20 suppresses the queued mail of a user that is locked", async () => {
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
  it("a user is locked, unlocked, deactivated, reactivated, listed and deleted", async () => {
    const client = await app().admin(protocol);
    const orgId = `org ${protocol}`;
    const { userId } = await newUser(app(), orgId);
    await client.lockUser({ userId, reason: "a stolen phone" });
    const locked = await client.listUsers({ state: UserState.LOCKED, orgId });
    expect(locked.users).toMatchObject([{ userId, state: UserState.LOCKED }]);
    await client.unlockUser({ userId });
    await client.deactivateUser({ userId });
    await client.reactivateUser({ userId });
    const { details } = await client.deleteUser({ userId, reason: "asked for it" });
    expect(details).toMatchObject({ sequence: 6n, resourceOwner: orgId });
    expect(await refusalOf(client.getUserByID({ userId }))).toMatchObject({
      code: "NotFound",
      reason: "USER_NOT_FOUND",
    });
    expect((await client.listUsers({ orgId })).users).toEqual([]);
    expect(await outcomeOf(client.deleteUser({ userId }))).toBe("USER_NOT_FOUND");
    const events = await app()
      .app.store.db.selectFrom("events")
      .select(["type", "reason"])
      .where("user_id", "=", userId)
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
  it("deletes addresses, mails, and the client addresses of the user itself", async () => {
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

    // A user that reuses the id continues the count in its organization, and nothing else.
    await addUser(client, "u", "o");
    const { user } = await client.getUserByID({ userId: "u" });
    expect(user).toMatchObject({ details: { sequence: 5n }, authenticators: { otpEmail: [] } });
    const verify = client.verifyOTPEmail({ userId: "u", otpEmailId: waiting.otpEmailId, code: waiting.code });
    expect(await outcomeOf(verify)).toBe("OTP_EMAIL_NOT_FOUND");
    const again = await addPending(client);
    const old = client.verifyOTPEmail({ userId: "u", otpEmailId: again.otpEmailId, code: waiting.code });
    expect(await outcomeOf(old)).toBe("CODE_INVALID");
  });

  it("allows another organization to reuse the id, with a count from 1", async () => {
    const client = await app().admin();
    const { userId } = await newUser(app());
    await client.deleteUser({ userId });
    await addUser(client, userId, "p");
    const { user } = await client.getUserByID({ userId });
    expect(user?.details).toMatchObject({ sequence: 1n, resourceOwner: "p" });
  });

  it("succeeds once for 50 concurrent calls", async () => {
    const client = await app().admin("gRPC");
    const { userId } = await newUser(app());
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () => outcomeOf(client.deleteUser({ userId }))),
    );
    expect(outcomes.filter((o) => o === "OK")).toHaveLength(1);
    expect(outcomes.filter((o) => o === "USER_NOT_FOUND")).toHaveLength(49);
    const types = await eventTypes(app(), userId);
    expect(types.filter((type) => type === "user.deleted")).toHaveLength(1);
  });

  it("deletes everything while 50 calls add, verify and resend, none of which fails unexpectedly", async () => {
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
    const expected = [
      "OK",
      "USER_NOT_FOUND",
      "OTP_EMAIL_NOT_FOUND",
      "OTP_EMAIL_ALREADY_VERIFIED",
      "CODE_INVALID",
      "CODE_USED",
      "ATTEMPTS_EXHAUSTED",
      "RESEND_TOO_SOON",
    ];
    expect([...outcomes].filter((o) => !expected.includes(o))).toEqual([]);
    const { db } = test.app.store;
    for (const table of ["users", "otp_emails", "outbox"] as const) {
      expect(await db.selectFrom(table).selectAll().execute(), table).toEqual([]);
    }
    expect((await eventTypes(test)).at(-1)).toBe("user.deleted");
  });
});

describe("ListUsers", () => {
  async function addMany(test: TestApp): Promise<void> {
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
  }

  async function startWithMany(): Promise<TestApp> {
    const test = await startTestApp();
    await addMany(test);
    return test;
  }

  const withMany = shareTestApp({ setUp: addMany });

  const idsOf = async (call: ReturnType<UserClient["listUsers"]>) => (await call).users.map((u) => u.userId);

  it("only shows users of organizations in which the caller may read", async () => {
    const test = withMany();
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

  it("filters by state and by address, ignoring case", async () => {
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
    "returns pages of %i; concurrently created users neither repeat nor hide others",
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

  it("returns 50 users by default, and at most 100", async () => {
    const test = await startTestApp();
    const client = await test.admin("gRPC");
    await Promise.all(Array.from({ length: 120 }, (_, i) => addUser(client, `user-${i}`)));
    expect((await client.listUsers({})).users).toHaveLength(50);
    expect((await client.listUsers({ pageSize: 1_000 })).users).toHaveLength(100);
  });

  it("T37 refuses a page token of another filter or of a caller of other organizations", async () => {
    const test = withMany();
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
    ["an invalid address", { emailAddress: "%" }, "email_address"],
    ["an empty organization", { orgId: "" }, "org_id"],
    ["the state of deleted users", { state: UserState.DELETED }, "state"],
    ["an unknown state", { state: 99 as UserState }, "state"],
    ["a negative page size", { pageSize: -1 }, "page_size"],
  ])("T37 T38 refuses %s", async (_name, request, field) => {
    expect(await refusalOf((await app().admin()).listUsers(request))).toMatchObject({
      code: "InvalidArgument",
      fields: [field],
    });
  });

  it("T37 reveals no secret column, and does not interpret SQL", async () => {
    const test = withMany();
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

  it("uses an index and does not sort", async () => {
    const conditions = [
      "org_id in ('o', 'p')",
      "org_id in ('o', 'p') and state = 'locked'",
      "org_id = 'o' and (org_id, user_id) > ('o', 'u')",
      "true",
    ];
    for (const where of conditions) {
      const select = `select * from users where ${where} order by org_id, user_id limit 51`;
      const plan = await planOf(app().app.store.db, select);
      expect(plan, where).toMatch(/using (covering )?index users_|index (only )?scan using users_/i);
      expect(plan, where).not.toMatch(/TEMP B-TREE|Sort/);
    }
  });
});
