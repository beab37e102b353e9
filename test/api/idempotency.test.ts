import { describe, expect, it } from "vitest";
import { codeIn, protocols, shareTestApp, startTestApp, type TestApp } from "../support/app.ts";
import { outcomeOf, refusalOf } from "../support/errors.ts";
import { addPending, addUser, eventTypes, newUser } from "../support/users.ts";

const minute = 60_000;
const day = 24 * 60 * minute;
const address = "mini@mouse.com";
const returnCode = { case: "returnCode", value: {} } as const;
const organization = { org: { case: "orgId", value: "o" } } as const;

const key = (value = "8e03978e-40d5-43dd-bc93-6894a57f9324") => ({ headers: { "idempotency-key": value } });

async function startWithUser(environment: Record<string, string> = {}): Promise<TestApp> {
  const test = await startTestApp({ environment });
  await addUser(await test.admin());
  return test;
}

const app = shareTestApp();

describe.each(protocols)("a call with the same key over %s", (protocol) => {
  it("returns the same reply and sends one mail (AddOTPEmail), also after another protocol", async () => {
    const test = await startWithUser();
    const request = { userId: "u", email: { address } };
    const first = await (await test.admin("Connect JSON")).addOTPEmail(request, key());
    test.clock.move(minute);
    const client = await test.admin(protocol);
    for (let i = 0; i < 3; i++) expect(await client.addOTPEmail(request, key())).toEqual(first);
    await test.mails(address);
    expect(await test.app.store.db.selectFrom("outbox").selectAll().execute()).toHaveLength(1);
    expect(await eventTypes(test)).toEqual(["user.created", "otp_email.added"]);
    // Another key makes it another call.
    expect((await client.addOTPEmail(request, key("2"))).details?.sequence).toBeGreaterThan(2n);
    await test.mails(address, 2);
  });

  it("returns the same reply and has one effect (ResendOTPEmailCode, CreateUser)", async () => {
    const test = app();
    const { userId, address } = await newUser(test);
    const client = await test.admin(protocol);
    const { otpEmailId } = await addPending(client, userId, address);
    const [resend, create] = [key(`resend-${userId}`), key(`create-${userId}`)];
    const resent = await client.resendOTPEmailCode({ userId, otpEmailId }, resend);
    expect(await client.resendOTPEmailCode({ userId, otpEmailId }, resend)).toEqual(resent);
    const created = await client.createUser({ organization }, create);
    expect(await client.createUser({ organization }, create)).toEqual(created);
    expect(await eventTypes(test, created.userId)).toEqual(["user.created"]);
    const mails = test.app.store.db.selectFrom("outbox").selectAll().where("user_id", "=", userId);
    expect(await mails.execute()).toHaveLength(1);
  });

  it("is refused without effect for another message or method", async () => {
    const test = app();
    const orgId = `org ${protocol}`;
    const { userId, address } = await newUser(test, orgId);
    const client = await test.admin(protocol);
    const used = key(`used-${userId}`);
    const { otpEmailId } = await client.addOTPEmail({ userId, email: { address } }, used);
    const others = [
      () => client.addOTPEmail({ userId, email: { address: "minnie@mouse.com" } }, used),
      () => client.addOTPEmail({ userId, email: { address, verification: returnCode } }, used),
      () => client.resendOTPEmailCode({ userId, otpEmailId }, used),
      () => client.createUser({ organization: { org: { case: "orgId", value: orgId } } }, used),
    ];
    for (const call of others) {
      expect(await refusalOf(call())).toMatchObject({
        code: "FailedPrecondition",
        reason: "IDEMPOTENCY_KEY_REUSED",
        domain: "countersign",
      });
    }
    expect((await client.listUsers({ orgId })).users).toHaveLength(1);
    expect(await eventTypes(test, userId)).toEqual(["user.created", "otp_email.added"]);
  });
});

describe("a returned code", () => {
  it("is derived again while it is valid, and not stored", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    const request = { userId: "u", email: { address, verification: returnCode } };
    const first = await client.addOTPEmail(request, key());
    const code = first.verificationCode ?? "";
    test.clock.move(9 * minute);
    expect(await client.addOTPEmail(request, key())).toEqual(first);
    const name = { userId: "u", otpEmailId: first.otpEmailId };
    const resent = await client.resendOTPEmailCode({ ...name, verification: returnCode }, key("r"));
    expect(resent.verificationCode).toBe(code);
    expect(await client.resendOTPEmailCode({ ...name, verification: returnCode }, key("r"))).toEqual(resent);
    const rows = await test.app.store.db.selectFrom("idempotency_keys").selectAll().execute();
    expect(rows).toHaveLength(2);
    for (const secret of [code, "mouse", "8e03978e", "admin"])
      expect(JSON.stringify(rows)).not.toContain(secret);

    await client.verifyOTPEmail({ ...name, code });
    const again = await client.addOTPEmail(request, key());
    expect(again).toMatchObject({ otpEmailId: first.otpEmailId, details: first.details });
    expect(again.verificationCode).toBeUndefined();
  });

  it("is not replaced by a newer code", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    const request = { userId: "u", email: { address, verification: returnCode } };
    const first = await client.addOTPEmail(request, key());
    test.clock.move(10 * minute);
    const next = await client.addOTPEmail(request, key("2"));
    expect(next.verificationCode).not.toBe(first.verificationCode);
    expect((await client.addOTPEmail(request, key())).verificationCode).toBeUndefined();
    expect((await client.addOTPEmail(request, key("2"))).verificationCode).toBe(next.verificationCode);
  });
});

describe("a key", () => {
  const request = { userId: "u", email: { address } };

  it("belongs to its principal", async () => {
    const test = await startWithUser();
    await (await test.admin()).addOTPEmail(request, key());
    const other = test.client(await test.token("other", { permissions: ["user.write"] }));
    expect(await outcomeOf(other.addOTPEmail(request, key()))).toBe("RESEND_TOO_SOON");
    await other.addOTPEmail({ userId: "u", email: { address: "b@x.io" } }, key());
  });

  it("is remembered for a day, across restarts and key rotation", async () => {
    const secret = (id: string) => `${id}:${Buffer.alloc(32, id).toString("base64")}`;
    const test = await startWithUser({ COUNTERSIGN_KEYS: secret("a") });
    const first = await (await test.admin()).addOTPEmail(request, key());
    await test.app[Symbol.asyncDispose]();
    const environment = { COUNTERSIGN_KEYS: `${secret("b")},${secret("a")}` };
    const again = await startTestApp({ dataDir: test.dataDir, clock: test.clock, environment });
    test.clock.move(day - 1);
    expect(await (await again.admin()).addOTPEmail(request, key())).toEqual(first);
    test.clock.move(1);
    const client = await again.admin();
    const later = await client.addOTPEmail(request, key());
    expect(later.details?.sequence).toBeGreaterThan(2n);
    expect(await client.addOTPEmail(request, key())).toEqual(later);
  });

  it("can be used again after a failed call", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    await client.addOTPEmail(request);
    expect(await outcomeOf(client.addOTPEmail(request, key()))).toBe("RESEND_TOO_SOON");
    test.clock.move(minute);
    const added = await client.addOTPEmail(request, key());
    expect(await client.addOTPEmail(request, key())).toEqual(added);
    await client.addOTPEmail({ userId: "u", email: { address: "b@x.io" } }, key("2"));
  });

  it.each([
    ["of 256 characters", "x".repeat(256)],
    ["with a space", "a b"],
    ["that is empty", ""],
  ])("%s is refused", async (_name, value) => {
    const client = await app().admin();
    const { userId, address } = await newUser(app());
    const add = client.addOTPEmail({ userId, email: { address } }, key(value));
    expect(await refusalOf(add)).toMatchObject({
      code: "InvalidArgument",
      reason: "IDEMPOTENCY_KEY_INVALID",
      fields: ["Idempotency-Key"],
    });
    expect(await eventTypes(app(), userId)).toEqual(["user.created"]);
  });

  it("makes 50 concurrent calls have one effect", async () => {
    const test = await startWithUser();
    const client = await test.admin("gRPC");
    const replies = await Promise.all(Array.from({ length: 50 }, () => client.addOTPEmail(request, key())));
    expect(new Set(replies.map((reply) => `${reply.otpEmailId} ${reply.details?.sequence}`)).size).toBe(1);
    expect(await eventTypes(test)).toEqual(["user.created", "otp_email.added"]);
    const [mail] = await test.mails(address);
    await client.verifyOTPEmail({ userId: "u", otpEmailId: replies[0]!.otpEmailId, code: codeIn(mail!) });
  });
});
