import { setTimeout as sleep } from "node:timers/promises";
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import { DeliveryState } from "../../gen/countersign/user/v3alpha/otp_email_pb.ts";
import { isSigned } from "../../src/pages/webhook-signature.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { addUser } from "../support/users.ts";

const secret = `whsec_${Buffer.alloc(32, 9).toString("base64")}`;
const address = "mini@mouse.com";
const bounce = { type: "bounce", status: "5.1.1" };
let webhookNumber = 0;

/** A server with a mail that was sent, and its webhook. */
async function start(environment: Record<string, string> = { COUNTERSIGN_BOUNCE_WEBHOOK_SECRET: secret }) {
  const test = await startTestApp({ environment });
  const client = await test.admin();
  await addUser(client);
  const { otpEmailId } = await client.addOTPEmail({ userId: "u", email: { address } });
  await test.mails(address);
  const { db } = test.app.store;
  const mail = () => db.selectFrom("outbox").selectAll().orderBy("mail_id").executeTakeFirstOrThrow();
  for (let tries = 0; tries < 500 && (await mail()).state !== "sent"; tries++) await sleep(10);
  const { message_id: messageId } = await mail();
  const lastMail = async () => (await client.getOTPEmail({ userId: "u", otpEmailId })).otpEmail?.lastMail;
  const suppressed = async () =>
    (await db.selectFrom("suppressions").select("digest").execute()).length === 1;
  return { test, client, messageId, lastMail, suppressed };
}

interface Sent {
  readonly id?: string;
  /** When it says to be signed. */
  readonly at?: number;
  readonly secret?: string;
  readonly headers?: Record<string, string>;
  /** Sent in the place of what was signed. */
  readonly body?: string;
}

async function send(test: TestApp, report: unknown, sent: Sent = {}): Promise<number> {
  const id = sent.id ?? `msg_${++webhookNumber}`;
  const at = new Date(sent.at ?? test.clock.now());
  const signed = typeof report === "string" ? report : JSON.stringify(report);
  const headers = {
    "content-type": "application/json",
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
    "webhook-signature": new Webhook(sent.secret ?? secret).sign(id, at, signed),
    ...sent.headers,
  };
  const body = sent.body ?? signed;
  const reply = await fetch(`${test.origin}/webhooks/bounces`, { method: "POST", headers, body });
  return reply.status;
}

async function mailEvents(test: TestApp): Promise<string[]> {
  const query = test.app.store.db.selectFrom("events").select("type").where("type", "like", "mail.%");
  return (await query.orderBy("position").execute()).map((row) => row.type);
}

describe("F21 the webhook of a provider", () => {
  it.each([
    ["a bounce", bounce, DeliveryState.FAILED, "bounce 5.1.1", "mail.bounced", true],
    [
      "a bounce for a while",
      { ...bounce, status: "4.2.2" },
      DeliveryState.FAILED,
      "bounce 4.2.2",
      "mail.bounced",
      false,
    ],
    ["a complaint", { type: "complaint" }, DeliveryState.SENT, "", "mail.complained", true],
    ["a delivery", { type: "delivery", status: "2.0.0" }, DeliveryState.SENT, "", "mail.sent", false],
  ])("takes %s", async (_, report, state, reason, event, isSuppressed) => {
    const { test, messageId, lastMail, suppressed } = await start();
    expect(await send(test, { ...report, message_id: messageId })).toBe(204);
    expect(await lastMail()).toMatchObject({ state, reason });
    expect((await mailEvents(test)).at(-1)).toBe(event);
    expect(await suppressed()).toBe(isSuppressed);
  });

  it("takes a Message-ID without its angle brackets", async () => {
    const { test, messageId, suppressed } = await start();
    expect(await send(test, { ...bounce, message_id: messageId.slice(1, -1) })).toBe(204);
    expect(await suppressed()).toBe(true);
  });

  it("replay: changes nothing when it is sent again, at once or 50 times at once, or with another content", async () => {
    const { test, messageId } = await start();
    const id = "msg_once";
    const report = { ...bounce, message_id: messageId };
    const statuses = await Promise.all(Array.from({ length: 50 }, () => send(test, report, { id })));
    expect(new Set(statuses)).toEqual(new Set([204]));
    expect(await send(test, { type: "complaint", message_id: messageId }, { id })).toBe(204);
    expect(await send(test, report)).toBe(204);
    expect(await mailEvents(test)).toEqual(["mail.sent", "mail.bounced"]);
    test.clock.move(300_001);
    expect(await send(test, report, { id, at: test.clock.now() - 300_001 })).toBe(401);
  });

  it.each<[string, (now: number) => Sent]>([
    ["another secret", () => ({ secret: `whsec_${Buffer.alloc(32, 8).toString("base64")}` })],
    ["another content", () => ({ body: '{"type":"complaint","message_id":"<x@y>"}' })],
    ["another id", () => ({ headers: { "webhook-id": "msg_other" } })],
    ["another time", (now) => ({ headers: { "webhook-timestamp": String(now / 1_000 - 1) } })],
    ["a time that is no number", () => ({ headers: { "webhook-timestamp": "now" } })],
    ["an old signature", (now) => ({ at: now - 300_001_000 })],
    ["a signature of the future", (now) => ({ at: now + 301_000 })],
    ["no signature", () => ({ headers: { "webhook-signature": "" } })],
    ["half a signature", () => ({ headers: { "webhook-signature": "v1,AAAA" } })],
    ["a signature of another kind", () => ({ headers: { "webhook-signature": "v1a,AAAA" } })],
    ["no id", () => ({ headers: { "webhook-id": "" } })],
  ])("forge: refuses one with %s", async (_, sent) => {
    const { test, messageId, suppressed } = await start();
    expect(await send(test, { ...bounce, message_id: messageId }, sent(test.clock.now()))).toBe(401);
    expect(await suppressed()).toBe(false);
  });

  it("forge: answers an unknown Message-ID like a known one", async () => {
    const { test, suppressed } = await start();
    expect(await send(test, { ...bounce, message_id: "<unknown@otp.example.com>" })).toBe(204);
    expect(await suppressed()).toBe(false);
    expect(await mailEvents(test)).toEqual(["mail.sent"]);
  });

  it("reorder: an old report of one mail changes nothing of a newer one that was sent", async () => {
    const { test, client, messageId, lastMail } = await start();
    test.clock.move(60_000);
    const [otpEmail] = (await client.listOTPEmails({ userId: "u" })).otpEmails;
    await client.resendOTPEmailCode({ userId: "u", otpEmailId: otpEmail?.otpEmailId ?? "" });
    for (let tries = 0; tries < 500 && (await mailEvents(test)).length < 2; tries++) await sleep(10);
    expect(await send(test, { ...bounce, status: "4.4.7", message_id: messageId })).toBe(204);
    expect(await lastMail()).toMatchObject({ state: DeliveryState.SENT });
  });

  it("reorder: a complaint before the bounce of the same mail is what counts", async () => {
    const { test, messageId, lastMail } = await start();
    await send(test, { type: "complaint", message_id: messageId });
    await send(test, { ...bounce, message_id: messageId });
    expect(await lastMail()).toMatchObject({ state: DeliveryState.SENT });
    expect(await mailEvents(test)).toEqual(["mail.sent", "mail.complained"]);
  });

  it.each([
    ["no JSON", "{"],
    ["null", "null"],
    ["a list", "[]"],
    ["no Message-ID", { type: "bounce", status: "5.1.1" }],
    ["a Message-ID that is a number", { ...bounce, message_id: 1 }],
    ["a bounce without a status", { type: "bounce", message_id: "<x@y>" }],
    ["a status of its own making", { type: "bounce", message_id: "<x@y>", status: "5.1.1 <script>" }],
  ])("refuses %s", async (_, report) => {
    expect(await send((await start()).test, report)).toBe(400);
  });

  it("refuses what is too large, another method, and all of it without a secret", async () => {
    const { test } = await start();
    for (const size of [16_384, 4_000_000]) {
      expect(await send(test, { ...bounce, message_id: "<x@y>", more: "x".repeat(size) })).toBe(413);
    }
    expect((await fetch(`${test.origin}/webhooks/bounces`)).status).toBe(405);
    const { test: without } = await start({});
    expect(await send(without, { ...bounce, message_id: "<x@y>" })).toBe(404);
  });
});

describe("a signature of Standard Webhooks", () => {
  it("of the specification's own library is right, also as one of several", () => {
    const body = Buffer.from('{"type":"bounce"}');
    const now = 1_700_000_000_000;
    const signature = new Webhook(secret).sign("msg_1", new Date(now), body.toString());
    const key = Buffer.alloc(32, 9);
    const message = { id: "msg_1", timestamp: "1700000000", signature, body };
    expect(isSigned(key, now, message)).toBe(true);
    expect(isSigned(key, now + 300_000, message)).toBe(true);
    expect(isSigned(key, now, { ...message, signature: `v1,AAAA v1a,x ${signature}` })).toBe(true);
    expect(isSigned(Buffer.alloc(32, 8), now, message)).toBe(false);
  });
});
