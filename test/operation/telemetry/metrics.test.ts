import { describe, expect, it } from "vitest";
import { createMetrics } from "../../../src/operation/telemetry/metrics.ts";
import { startTestApp, type TestApp } from "../../support/app.ts";
import { outcomeOf } from "../../support/errors.ts";
import { addUser } from "../../support/users.ts";
import { waitFor } from "../../support/wait-for.ts";

const on = { COUNTERSIGN_METRICS: "on" };

/** Only once a test: for a second, further scrapes get the same text. */
async function scrape({ origin }: TestApp): Promise<string> {
  const reply = await fetch(`${origin}/metrics`);
  expect(reply.status).toBe(200);
  expect(reply.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
  return reply.text();
}

/** Waits for the first attempt to hand over a mail. It is counted together with its log line. */
async function mailCounted({ logLines }: TestApp): Promise<void> {
  await waitFor("a mail to be counted", () => logLines.some((line) => line.includes('"msg":"mail"')));
}

function sampleOf(text: string, series: string): number | undefined {
  const line = text.split("\n").find((line) => line.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

it("asks for the backlog at most once a second", async () => {
  let asked = 0;
  const metrics = createMetrics({
    backlog: async () => ({ mails: ++asked, oldestMs: 0 }),
    canMail: () => true,
    onError: () => {},
  });
  const texts = await Promise.all([metrics.text(), metrics.text()]);
  expect(texts[1]).toBe(texts[0]);
  expect(await metrics.text()).toBe(texts[0]);
  expect(asked).toBe(1);
});

describe("/metrics", () => {
  it("answers 404 unless it is turned on", async () => {
    const test = await startTestApp();
    expect((await fetch(`${test.origin}/metrics`)).status).toBe(404);
  });

  it("counts calls by method, protocol and code, including those refused early", async () => {
    const test = await startTestApp({ environment: on });
    const admin = await test.admin("gRPC");
    await addUser(admin);
    await admin.getUserByID({ userId: "u" });
    await outcomeOf(test.client(undefined).getUserByID({ userId: "u" }));
    await fetch(`${test.origin}/v3alpha/users/u`, { method: "DELETE", body: "{" });
    const text = await scrape(test);
    const get = 'method="UserService.GetUserByID"';
    const calls = (labels: string) => sampleOf(text, `countersign_calls_total{${labels}}`);
    expect(calls(`${get},protocol="grpc",code="OK"`)).toBe(1);
    expect(calls(`${get},protocol="connect",code="Unauthenticated"`)).toBe(1);
    expect(text).toMatch(
      /countersign_calls_total\{method="UserService.DeleteUser",protocol="rest",code="\w+"\} 1/,
    );
    expect(sampleOf(text, `countersign_call_duration_seconds_count{${get},protocol="grpc"}`)).toBe(1);
    expect(sampleOf(text, `countersign_call_duration_seconds_bucket{le="+Inf",${get},protocol="grpc"}`)).toBe(
      1,
    );
    expect(sampleOf(text, "nodejs_eventloop_lag_seconds")).toBeGreaterThanOrEqual(0);
  });

  it("counts mails by state, and waiting mails with the age of the oldest", async () => {
    // Nothing listens on this port.
    const test = await startTestApp({ environment: { ...on, COUNTERSIGN_SMTP_URL: "smtp://127.0.0.1:1" } });
    const admin = await test.admin();
    await addUser(admin);
    await admin.addOTPEmail({ userId: "u", email: { address: "mini@mouse.com" } });
    await mailCounted(test);
    test.clock.move(90_000);
    const text = await scrape(test);
    expect(sampleOf(text, "countersign_outbox_mails")).toBe(1);
    expect(sampleOf(text, "countersign_outbox_oldest_seconds")).toBe(90);
    expect(sampleOf(text, 'countersign_mails_total{purpose="enrolment",state="queued"}')).toBeGreaterThan(0);
  });

  it("counts a sent mail, and none waiting", async () => {
    const test = await startTestApp({ environment: on });
    const admin = await test.admin();
    await addUser(admin);
    await admin.addOTPEmail({ userId: "u", email: { address: "mini@mouse.com" } });
    await mailCounted(test);
    const text = await scrape(test);
    expect(sampleOf(text, "countersign_outbox_mails")).toBe(0);
    expect(sampleOf(text, "countersign_outbox_oldest_seconds")).toBe(0);
    expect(sampleOf(text, 'countersign_mails_total{purpose="enrolment",state="sent"}')).toBe(1);
    expect(sampleOf(text, "countersign_mail_up")).toBe(1);
  });

  it("has no ids and no text from clients in its labels", async () => {
    const test = await startTestApp({ environment: on });
    const admin = await test.admin();
    await addUser(admin, "user-from-outside", "org-from-outside");
    await admin.addOTPEmail({ userId: "user-from-outside", email: { address: "mini@outside.com" } });
    await mailCounted(test);
    for (const path of ["/outside", "/v3alpha/outside", "/countersign.user.v3alpha.UserService/Outside"]) {
      for (const type of ["application/json", "application/grpc", "application/outside"]) {
        const headers = { "content-type": type, authorization: "Bearer outside", "x-outside": "outside" };
        await fetch(`${test.origin}${path}`, { method: "POST", headers, body: "outside" });
      }
    }
    const text = await scrape(test);
    expect(text).not.toContain("outside");
    const series = text.split("\n").filter((line) => line.startsWith("countersign_"));
    expect(series.length).toBeGreaterThan(5);
    for (const line of series) expect(line.replace(/ \S+$/, "")).not.toMatch(/\d{8}/);
    const labels = new Set([...series.join("\n").matchAll(/[{,](\w+)="/g)].map(([, name]) => name));
    expect([...labels].sort()).toEqual(["code", "le", "method", "protocol", "purpose", "state"]);
  });

  it("answers only GET and HEAD", async () => {
    const test = await startTestApp({ environment: on });
    expect((await fetch(`${test.origin}/metrics`, { method: "POST" })).status).toBe(405);
    const head = await fetch(`${test.origin}/metrics`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
  });
});
