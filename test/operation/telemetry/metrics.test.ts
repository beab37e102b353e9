import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { startTestApp, type TestApp } from "../../support/app.ts";
import { outcomeOf } from "../../support/errors.ts";
import { addUser } from "../../support/users.ts";

const on = { COUNTERSIGN_METRICS: "on" };

async function scrape({ origin }: TestApp): Promise<string> {
  // What was scraped a moment ago is not made anew.
  await sleep(1_050);
  const reply = await fetch(`${origin}/metrics`);
  expect(reply.status).toBe(200);
  expect(reply.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
  return reply.text();
}

function sampleOf(text: string, series: string): number | undefined {
  const line = text.split("\n").find((line) => line.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

describe("/metrics", () => {
  it("is not there unless it is asked for", async () => {
    const test = await startTestApp();
    expect((await fetch(`${test.origin}/metrics`)).status).toBe(404);
  });

  it("counts calls by method, protocol and code, also those that were refused early", async () => {
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

  it("counts mails by state, and those that wait with the age of the oldest", async () => {
    // Nobody listens there.
    const test = await startTestApp({ environment: { ...on, COUNTERSIGN_SMTP_URL: "smtp://127.0.0.1:1" } });
    const admin = await test.admin();
    await addUser(admin);
    await admin.addOTPEmail({ userId: "u", email: { address: "mini@mouse.com" } });
    test.clock.move(90_000);
    const text = await scrape(test);
    expect(sampleOf(text, "countersign_outbox_mails")).toBe(1);
    expect(sampleOf(text, "countersign_outbox_oldest_seconds")).toBe(90);
    expect(sampleOf(text, 'countersign_mails_total{purpose="enrolment",state="queued"}')).toBeGreaterThan(0);
  });

  it("counts a mail that was sent, and then none waits", async () => {
    const test = await startTestApp({ environment: on });
    const admin = await test.admin();
    await addUser(admin);
    await admin.addOTPEmail({ userId: "u", email: { address: "mini@mouse.com" } });
    await test.mails("mini@mouse.com");
    const text = await scrape(test);
    expect(sampleOf(text, "countersign_outbox_mails")).toBe(0);
    expect(sampleOf(text, "countersign_outbox_oldest_seconds")).toBe(0);
    expect(sampleOf(text, 'countersign_mails_total{purpose="enrolment",state="sent"}')).toBe(1);
    expect(sampleOf(text, "countersign_mail_up")).toBe(1);
  });

  it("has nothing in its labels that comes from outside, and no ids", async () => {
    const test = await startTestApp({ environment: on });
    const admin = await test.admin();
    await addUser(admin, "user-from-outside", "org-from-outside");
    await admin.addOTPEmail({ userId: "user-from-outside", email: { address: "mini@outside.com" } });
    await test.mails("mini@outside.com");
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

  it("can only be read", async () => {
    const test = await startTestApp({ environment: on });
    expect((await fetch(`${test.origin}/metrics`, { method: "POST" })).status).toBe(405);
    const head = await fetch(`${test.origin}/metrics`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
  });
});
