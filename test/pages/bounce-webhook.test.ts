import { setTimeout as sleep } from "node:timers/promises";
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import { DeliveryState } from "../../gen/countersign/user/v3alpha/otp_email_pb.ts";
import { bounceWebhook, type ProviderReport } from "../../src/pages/bounce-webhook.ts";
import { isSigned } from "../../src/pages/webhook-signature.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { MovableClock } from "../support/clock.ts";
import { start as startServer } from "../support/http/requests.ts";
import { addUser } from "../support/users.ts";

const secret = `whsec_${Buffer.alloc(32, 9).toString("base64")}`;
const address = "mini@mouse.com";
const bounce = { type: "bounce", status: "5.1.1" };
let webhookNumber = 0;

/** A service with the webhook and a sent mail. */
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

/** The webhook without the rest of the service: what it would record. */
async function startWebhook() {
  const clock = new MovableClock();
  const recorded: ProviderReport[] = [];
  const { handler } = bounceWebhook({
    secret: Buffer.alloc(32, 9),
    now: () => clock.now(),
    record: async (_id, report) => void recorded.push(report),
    onError: (error) => {
      throw error;
    },
  });
  const { origin } = await startServer({ handler });
  return { webhook: { origin, clock }, recorded };
}

interface Sent {
  readonly id?: string;
  /** The time of the signature, in milliseconds since the epoch. */
  readonly at?: number;
  readonly secret?: string;
  readonly headers?: Record<string, string>;
  /** Sent instead of the signed body. */
  readonly body?: string;
}

async function send(
  test: Pick<TestApp, "origin" | "clock">,
  report: unknown,
  sent: Sent = {},
): Promise<number> {
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
      "a temporary bounce",
      { ...bounce, status: "4.2.2" },
      DeliveryState.FAILED,
      "bounce 4.2.2",
      "mail.bounced",
      false,
    ],
    ["a complaint", { type: "complaint" }, DeliveryState.SENT, "", "mail.complained", true],
    ["a delivery", { type: "delivery", status: "2.0.0" }, DeliveryState.SENT, "", "mail.sent", false],
  ])("handles %s", async (_, report, state, reason, event, isSuppressed) => {
    const { test, messageId, lastMail, suppressed } = await start();
    expect(await send(test, { ...report, message_id: messageId })).toBe(204);
    expect(await lastMail()).toMatchObject({ state, reason });
    expect((await mailEvents(test)).at(-1)).toBe(event);
    expect(await suppressed()).toBe(isSuppressed);
  });

  it("accepts a Message-ID without its angle brackets", async () => {
    const { test, messageId, suppressed } = await start();
    expect(await send(test, { ...bounce, message_id: messageId.slice(1, -1) })).toBe(204);
    expect(await suppressed()).toBe(true);
  });

  it("replay: a repeated report changes nothing, even with another body", async () => {
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
    ["another body", () => ({ body: '{"type":"complaint","message_id":"<x@y>"}' })],
    ["another id", () => ({ headers: { "webhook-id": "msg_other" } })],
    ["another time", (now) => ({ headers: { "webhook-timestamp": String(now / 1_000 - 1) } })],
    ["a time that is not a number", () => ({ headers: { "webhook-timestamp": "now" } })],
    ["an old signature", (now) => ({ at: now - 300_001_000 })],
    ["a signature from the future", (now) => ({ at: now + 301_000 })],
    ["no signature", () => ({ headers: { "webhook-signature": "" } })],
    ["a truncated signature", () => ({ headers: { "webhook-signature": "v1,AAAA" } })],
    ["a signature of another version", () => ({ headers: { "webhook-signature": "v1a,AAAA" } })],
    ["no id", () => ({ headers: { "webhook-id": "" } })],
  ])("forge: refuses one with %s", async (_, sent) => {
    const { webhook, recorded } = await startWebhook();
    const report = { ...bounce, message_id: "<x@y>" };
    expect(await send(webhook, report, sent(webhook.clock.now()))).toBe(401);
    expect(recorded).toEqual([]);
    expect(await send(webhook, report)).toBe(204);
    expect(recorded).toHaveLength(1);
  });

  it("forge: answers unknown and known Message-IDs alike", async () => {
    const { test, suppressed } = await start();
    expect(await send(test, { ...bounce, message_id: "<unknown@otp.example.com>" })).toBe(204);
    expect(await suppressed()).toBe(false);
    expect(await mailEvents(test)).toEqual(["mail.sent"]);
  });

  it("reorder: a late report of an older mail does not change a newer one", async () => {
    const { test, client, messageId, lastMail } = await start();
    test.clock.move(60_000);
    const [otpEmail] = (await client.listOTPEmails({ userId: "u" })).otpEmails;
    await client.resendOTPEmailCode({ userId: "u", otpEmailId: otpEmail?.otpEmailId ?? "" });
    for (let tries = 0; tries < 500 && (await mailEvents(test)).length < 2; tries++) await sleep(10);
    expect(await send(test, { ...bounce, status: "4.4.7", message_id: messageId })).toBe(204);
    expect(await lastMail()).toMatchObject({ state: DeliveryState.SENT });
  });

  it("reorder: a complaint counts even if the bounce of the mail follows", async () => {
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
    ["an invalid status", { type: "bounce", message_id: "<x@y>", status: "5.1.1 <script>" }],
  ])("refuses %s", async (_, report) => {
    const { webhook, recorded } = await startWebhook();
    expect(await send(webhook, report)).toBe(400);
    expect(recorded).toEqual([]);
  });

  it("refuses large bodies and other methods, and answers 404 without a secret", async () => {
    const { test } = await start();
    for (const size of [16_384, 4_000_000]) {
      expect(await send(test, { ...bounce, message_id: "<x@y>", more: "x".repeat(size) })).toBe(413);
    }
    expect((await fetch(`${test.origin}/webhooks/bounces`)).status).toBe(405);
    const { test: without } = await start({});
    expect(await send(without, { ...bounce, message_id: "<x@y>" })).toBe(404);
  });
});

describe("isSigned", () => {
  it("accepts a signature of the reference library, also as one of several", () => {
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
