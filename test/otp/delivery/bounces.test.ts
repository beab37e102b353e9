import { describe, expect, it } from "vitest";
import { DeliveryState } from "../../../gen/countersign/user/v3alpha/otp_email_pb.ts";
import { createKeyRing } from "../../../src/otp/codes/keys.ts";
import { readReturnPath } from "../../../src/otp/codes/return-path.ts";
import { type Feedback, findReportedMail, recordFeedback } from "../../../src/otp/delivery/bounces.ts";
import { startTestApp, type TestApp } from "../../support/app.ts";
import { refusal, startRelay } from "../../support/mail/relay.ts";
import { addUser, addVerified } from "../../support/users.ts";
import { waitFor } from "../../support/wait-for.ts";

const day = 86_400_000;
const address = "mini@mouse.com";
const secret = Buffer.alloc(32, 7);
const keys = createKeyRing([{ id: "k", secret }]);

/** Starts a service with a relay whose replies the test sets. */
async function start(environment: Record<string, string> = {}) {
  const replies: { mail?: Error; rcpt?: Error; data?: Error } = {};
  const relay = await startRelay({
    onMailFrom: (_address, _session, callback) => callback(replies.mail ?? null),
    onRcptTo: (_address, _session, callback) => callback(replies.rcpt ?? null),
    onMail: () => {
      if (replies.data) throw replies.data;
    },
  });
  const test = await startTestApp({
    environment: {
      COUNTERSIGN_SMTP_URL: `smtp://127.0.0.1:${relay.port}`,
      COUNTERSIGN_KEYS: `k:${secret.toString("base64")}`,
      ...environment,
    },
  });
  const client = await test.admin();
  await addUser(client);
  return { test, client, relay, replies };
}

type Started = Awaited<ReturnType<typeof start>>;

/** Status of the last mail, once it is settled. */
async function lastMail({ client }: Pick<Started, "client">, otpEmailId: string, userId = "u") {
  const read = async () => (await client.getOTPEmail({ userId, otpEmailId })).otpEmail?.lastMail;
  await waitFor("the mail is settled", async () => (await read())?.settleTime !== undefined);
  const { state, reason } = (await read())!;
  return { state, reason };
}

async function mailEvents(test: TestApp, userId = "u") {
  const rows = await test.app.store.db
    .selectFrom("events")
    .select(["type", "data", "actor"])
    .where("user_id", "=", userId)
    .where("type", "like", "mail.%")
    .orderBy("position")
    .execute();
  return rows.map(({ data, ...row }) => ({ ...row, ...(JSON.parse(data) as object) }));
}

/** Records feedback on the only mail, or on the one at this index. */
async function report({ test }: Pick<Started, "test">, feedback: Feedback, index = 0) {
  const mails = await test.app.store.db.selectFrom("outbox").selectAll().orderBy("mail_id").execute();
  const mail = mails[index]!;
  const { store, clock } = test.app;
  return store.write((trx) => recordFeedback(trx, { clock, keys }, mail, feedback, "notification"));
}

describe("F15 a rejection by the relay", () => {
  it("fails the mail and suppresses the address for a day, also for other users", async () => {
    const started = await start();
    const { test, client, relay, replies } = started;
    replies.rcpt = refusal(550, "5.1.1 no such user");
    const added = await client.addOTPEmail({ userId: "u", email: { address } });
    expect(await lastMail(started, added.otpEmailId)).toEqual({
      state: DeliveryState.FAILED,
      reason: "550 5.1.1 rcpt",
    });

    delete replies.rcpt;
    test.clock.move(day / 2);
    const admin = await test.admin();
    await addUser(admin, "v", "p");
    const other = await admin.addOTPEmail({ userId: "v", email: { address } });
    expect(await lastMail({ client: admin }, other.otpEmailId, "v")).toEqual({
      state: DeliveryState.SUPPRESSED,
      reason: "address suppressed",
    });
    expect(relay.received).toEqual([]);

    test.clock.move(day / 2);
    await (await test.admin()).resendOTPEmailCode({ userId: "v", otpEmailId: other.otpEmailId });
    await waitFor("a mail comes", () => relay.received.length === 1);
    expect(relay.received[0]?.to).toEqual([address]);
    expect((await mailEvents(test)).map((event) => event.type)).toEqual(["mail.failed"]);
    expect((await mailEvents(test, "v"))[0]).toMatchObject({
      type: "mail.suppressed",
      reason: "address suppressed",
    });
  });

  it.each([
    ["of a bad mailbox at RCPT", "rcpt", refusal(550, "5.1.1 no such user"), "550 5.1.1 rcpt"],
    ["of a bad domain at RCPT", "rcpt", refusal(550, "5.1.2 no such domain"), "550 5.1.2 rcpt"],
    ["of a mailbox that has moved", "rcpt", refusal(551, "5.1.6 moved"), "551 5.1.6 rcpt"],
    ["of a disabled mailbox", "rcpt", refusal(550, "5.2.1 disabled"), "550 5.2.1 rcpt"],
    ["of a bad mailbox after the message", "data", refusal(550, "5.1.1 no such user"), "550 5.1.1 data"],
  ] as const)(
    "%s suppresses the address for a day without a difference in replies",
    async (_, step, refused, reason) => {
      const started = await start();
      const { client, relay, replies, test } = started;
      const shapes: string[] = [];
      const ask = async (userId: string, to: string) => {
        const added = await client.addOTPEmail({ userId, email: { address: to } });
        await lastMail(started, added.otpEmailId, userId);
        test.clock.move(60_000);
        const resent = await client.resendOTPEmailCode({ userId, otpEmailId: added.otpEmailId });
        shapes.push(JSON.stringify([added, resent].map((reply) => Object.keys(reply).sort())));
        await waitFor("the mail is settled", async () => (await mailEvents(test, userId)).length === 2);
        return mailEvents(test, userId);
      };
      replies[step] = refused;
      expect(await ask("u", address)).toMatchObject([
        { type: "mail.failed", reason },
        { type: "mail.suppressed", reason: "address suppressed" },
      ]);
      delete replies[step];
      expect(relay.received).toEqual([]);
      await addUser(client, "v");
      expect((await ask("v", "good@mouse.com")).map(({ type }) => type)).toEqual(["mail.sent", "mail.sent"]);
      expect(shapes[0]).toBe(shapes[1]);
      const [{ suppressed_until, create_time } = { suppressed_until: 0, create_time: 0 }] =
        await test.app.store.db.selectFrom("suppressions").selectAll().execute();
      expect(suppressed_until - create_time).toBe(day);
    },
  );

  it.each([
    ["by a policy at RCPT", "rcpt", refusal(550, "5.7.1 go away")],
    ["of the sender at RCPT", "rcpt", refusal(553, "5.1.8 your domain does not exist")],
    ["without an enhanced status at RCPT", "rcpt", refusal(550, "no")],
    ["of a full mailbox at RCPT", "rcpt", refusal(552, "5.2.2 full")],
    ["with a status about a recipient at MAIL", "mail", refusal(550, "5.1.1 no")],
    ["of spam after the message", "data", refusal(554, "5.7.1 spam")],
    ["without an enhanced status after the message", "data", refusal(550, "no")],
  ] as const)("%s suppresses nothing", async (_, step, refused) => {
    const started = await start();
    const { client, relay, replies, test } = started;
    replies[step] = refused;
    const { otpEmailId } = await client.addOTPEmail({ userId: "u", email: { address } });
    expect((await lastMail(started, otpEmailId)).state).toBe(DeliveryState.FAILED);
    delete replies[step];
    test.clock.move(60_000);
    await client.resendOTPEmailCode({ userId: "u", otpEmailId });
    await waitFor("a mail comes", () => relay.received.length === 1);
  });

  it("T17 does not change the replies to Add, resend and challenge", async () => {
    const started = await start();
    const { test, client, replies } = started;
    const login = test.challengeClient(await test.token("login", { permissions: ["otp.challenge"] }));
    replies.rcpt = refusal(550, "5.1.1 no such user");
    const bad = await client.addOTPEmail({ userId: "u", email: { address } });
    await lastMail(started, bad.otpEmailId);
    delete replies.rcpt;

    const shapes = [];
    for (const [userId, to] of [
      ["v", address],
      ["w", "good@mouse.com"],
    ] as const) {
      await addUser(client, userId);
      const added = await client.addOTPEmail({ userId, email: { address: to } });
      test.clock.move(60_000);
      const resent = await client.resendOTPEmailCode({ userId, otpEmailId: added.otpEmailId });
      await addVerified(client, userId, to);
      test.clock.move(60_000);
      const name = { userId, otpEmailId: added.otpEmailId };
      const challenge = await login.createOTPEmailChallenge({ ...name, audience: "https://a.example" });
      shapes.push([added, resent, challenge].map((reply) => Object.keys(reply).sort()));
    }
    expect(shapes[0]).toEqual(shapes[1]);
  });
});

describe("feedback on a mail", () => {
  it("fails the mail, is logged once, and suppresses the address", async () => {
    const started = await start();
    const { test, client } = started;
    const { otpEmailId } = await client.addOTPEmail({ userId: "u", email: { address } });
    expect((await lastMail(started, otpEmailId)).state).toBe(DeliveryState.SENT);
    const bounce = { kind: "failed", status: "5.1.1" } as const;
    expect(await report(started, bounce)).toBe("suppressed");
    expect(await report(started, bounce)).toBe("repeated");
    expect(await report(started, { kind: "delayed", status: "4.4.1" })).toBe("repeated");
    expect(await report(started, { kind: "complaint" })).toBe("repeated");
    expect(await lastMail(started, otpEmailId)).toEqual({
      state: DeliveryState.FAILED,
      reason: "bounce 5.1.1",
    });
    const name = { otp_email_id: otpEmailId, purpose: "enrolment" };
    expect(await mailEvents(test)).toMatchObject([
      { type: "mail.sent", actor: "urn:countersign:courier", ...name },
      { type: "mail.bounced", actor: "urn:countersign:bounces", reason: "5.1.1", ...name },
    ]);
    expect(JSON.stringify(await mailEvents(test))).not.toContain("mouse.com");

    test.clock.move(60_000);
    await client.resendOTPEmailCode({ userId: "u", otpEmailId });
    await waitFor("events", async () => (await mailEvents(test)).length === 3);
    expect((await lastMail(started, otpEmailId)).state).toBe(DeliveryState.SUPPRESSED);
  });

  it.each<[string, Feedback, string, string, DeliveryState, string]>([
    [
      "of a temporary failure",
      { kind: "failed", status: "4.4.7" },
      "bounced",
      "mail.bounced",
      DeliveryState.FAILED,
      "bounce 4.4.7",
    ],
    [
      "of a policy",
      { kind: "failed", status: "5.7.1" },
      "bounced",
      "mail.bounced",
      DeliveryState.FAILED,
      "bounce 5.7.1",
    ],
    [
      "of a delay",
      { kind: "delayed", status: "4.4.1" },
      "noted",
      "mail.sent",
      DeliveryState.SENT,
      "delayed 4.4.1",
    ],
    ["of a complaint", { kind: "complaint" }, "suppressed", "mail.complained", DeliveryState.SENT, ""],
  ])("%s is recorded", async (_, feedback, outcome, lastEvent, state, reason) => {
    const started = await start();
    const { otpEmailId } = await started.client.addOTPEmail({ userId: "u", email: { address } });
    await lastMail(started, otpEmailId);
    expect(await report(started, feedback)).toBe(outcome);
    expect(await lastMail(started, otpEmailId)).toEqual({ state, reason });
    expect((await mailEvents(started.test)).at(-1)?.type).toBe(lastEvent);
    const suppressed = await started.test.app.store.db.selectFrom("suppressions").selectAll().execute();
    expect(suppressed).toHaveLength(outcome === "suppressed" ? 1 : 0);
  });

  it("is visible with its challenge, through all states: deferred, sent, failed", async () => {
    const started = await start();
    const { test, client, replies } = started;
    const otpEmailId = await addVerified(client, "u", address);
    const login = test.challengeClient(await test.token("login", { permissions: ["otp.challenge"] }));
    replies.rcpt = refusal(450, "4.7.0 later");
    const name = { userId: "u", otpEmailId };
    const { challengeId } = await login.createOTPEmailChallenge({ ...name, audience: "https://a.example" });
    const mail = async () => (await login.getOTPEmailChallenge({ ...name, challengeId })).challenge?.mail;
    const isIn = (state: DeliveryState) =>
      waitFor("the next state of the mail", async () => (await mail())?.state === state);
    await isIn(DeliveryState.DEFERRED);
    expect((await client.getOTPEmail(name)).otpEmail?.lastMail?.state).toBe(DeliveryState.DEFERRED);
    delete replies.rcpt;
    test.clock.move(3_000);
    await isIn(DeliveryState.SENT);
    expect(await report(started, { kind: "failed", status: "5.1.1" })).toBe("suppressed");
    expect(await mail()).toMatchObject({ state: DeliveryState.FAILED, reason: "bounce 5.1.1" });
    expect(await lastMail(started, otpEmailId)).toEqual({
      state: DeliveryState.FAILED,
      reason: "bounce 5.1.1",
    });
  });

  it("does not change the status of a newer mail", async () => {
    const started = await start();
    const { test, client } = started;
    const { otpEmailId } = await client.addOTPEmail({ userId: "u", email: { address } });
    await lastMail(started, otpEmailId);
    test.clock.move(60_000);
    await client.resendOTPEmailCode({ userId: "u", otpEmailId });
    await waitFor("events", async () => (await mailEvents(test)).length === 2);
    expect(await report(started, { kind: "failed", status: "4.4.7" }, 0)).toBe("bounced");
    expect((await lastMail(started, otpEmailId)).state).toBe(DeliveryState.SENT);
  });

  it("fails a mail that is still queued, which is not sent again", async () => {
    const started = await start();
    const { test, client, replies } = started;
    // The relay may have accepted the mail although it will be tried again.
    replies.rcpt = refusal(450, "4.7.0 later");
    const { otpEmailId } = await client.addOTPEmail({ userId: "u", email: { address } });
    await waitFor("the mail is deferred", async () => {
      const { otpEmail } = await client.getOTPEmail({ userId: "u", otpEmailId });
      return otpEmail?.lastMail?.state === DeliveryState.DEFERRED;
    });
    expect(await report(started, { kind: "failed", status: "5.1.1" })).toBe("suppressed");
    delete replies.rcpt;
    test.clock.move(120_000);
    expect(await lastMail(started, otpEmailId)).toEqual({
      state: DeliveryState.FAILED,
      reason: "bounce 5.1.1",
    });
    expect(started.relay.received).toEqual([]);
  });
});

describe("the envelope sender", () => {
  it("is the sender without a bounce address", async () => {
    const { client, relay } = await start();
    await client.addOTPEmail({ userId: "u", email: { address } });
    await waitFor("a mail comes", () => relay.received.length === 1);
    expect(relay.received[0]?.from).toBe("countersign@dev.example");
  });

  it("identifies the mail with a MAC, and differs from the From header", async () => {
    const { test, client, relay } = await start({ COUNTERSIGN_BOUNCE_ADDRESS: "bounces@example.com" });
    await client.addOTPEmail({ userId: "u", email: { address } });
    await waitFor("a mail comes", () => relay.received.length === 1);
    const { from = "", raw = "" } = relay.received[0] ?? {};
    expect(from).toMatch(/^bounces\+\d+-[\da-f]{20}@example\.com$/);
    expect(raw).toMatch(/^From: .*<countersign@dev\.example>/m);
    const find = (recipients: string[], messageIds: string[] = []) =>
      findReportedMail(test.app.store.db, keys, { recipients, messageIds });
    const mail = await find([address, from]);
    expect(readReturnPath(keys, from)).toBe(mail?.mail_id);
    expect(raw).toContain(mail?.message_id);
    expect(await find([], ["<x@y>", mail?.message_id ?? ""])).toEqual(mail);
    expect(await find([`bounces+${mail?.mail_id}-${"0".repeat(20)}@example.com`], [])).toBeUndefined();
  });
});
