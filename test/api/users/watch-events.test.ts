import { describe, expect, it } from "vitest";
import type { WatchEventsResponse } from "../../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { protocols, shareTestApp, startTestApp, type UserClient } from "../../support/app.ts";
import { eventsSettled } from "../../support/db/database.ts";
import { refusalOf } from "../../support/errors.ts";
import { addUser } from "../../support/users.ts";

const streaming = protocols.filter((protocol) => protocol !== "REST");

/** Watches until `end` is called. `next` returns the next message in short: user, type and position. */
function watch(client: UserClient, request: { afterPosition?: string } = {}) {
  const ending = new AbortController();
  const messages = client.watchEvents(request, { signal: ending.signal })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = (await messages.next()) as IteratorResult<WatchEventsResponse, undefined>;
    return done || !value ? "end" : [value.event?.userId, value.event?.type, value.position].join(" ");
  };
  return { next, end: () => ending.abort() };
}

describe("WatchEvents over REST", () => {
  it("sends a line of JSON per message", async () => {
    const test = await startTestApp();
    const admin = await test.admin();
    await addUser(admin, "u");
    const ending = new AbortController();
    const reply = await fetch(`${test.origin}/v3alpha/events:watch?afterPosition=0`, {
      headers: { authorization: `Bearer ${await test.token("s", { permissions: ["user.read"] })}` },
      signal: ending.signal,
    });
    expect(reply.headers.get("content-type")).toBe("application/x-ndjson");
    const lines: { position: string; event?: { type: string } }[] = [];
    let text = "";
    for await (const chunk of reply.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const complete = text.split("\n");
      text = complete.pop() ?? "";
      lines.push(...complete.map((line) => JSON.parse(line)));
      if (lines.length === 2) await admin.lockUser({ userId: "u" });
      if (lines.length === 3) break;
    }
    ending.abort();
    expect(lines).toMatchObject([
      { position: "0" },
      { position: "1", event: { type: "user.created", position: "1" } },
      { position: "2", event: { type: "user.locked", actor: "admin" } },
    ]);
  });
});

describe.each(streaming)("WatchEvents over %s", (protocol) => {
  const withoutEvents = shareTestApp();

  it("sends the events of the caller's organizations, and continues from a position", async () => {
    const test = await startTestApp();
    const admin = await test.admin();
    await addUser(admin, "before");
    await eventsSettled(test.app.store);
    const token = await test.token("s", { org: "o", permissions: ["user.read"] });
    const client = test.client(token, protocol);
    const first = watch(client);
    expect(await first.next()).toBe("  1");
    await addUser(admin, "a", "o");
    await addUser(admin, "b", "p");
    await admin.lockUser({ userId: "a" });
    expect(await first.next()).toBe("a user.created 2");
    expect(await first.next()).toBe("a user.locked 4");
    first.end();
    await admin.deleteUser({ userId: "a" });
    const second = watch(client, { afterPosition: "2" });
    expect([await second.next(), await second.next(), await second.next()]).toEqual([
      "  2",
      "a user.locked 4",
      "a user.deleted 5",
    ]);
    second.end();
  });

  it.each([
    ["a position that is not a number", "x"],
    ["an empty position", ""],
    ["a negative position", "-1"],
    ["a position that was not reached", "1"],
    ["a position of 20 digits", "9".repeat(20)],
  ])("refuses %s", async (_name, afterPosition) => {
    const client = await withoutEvents().admin(protocol);
    const refusal = await refusalOf(watch(client, { afterPosition }).next());
    expect(refusal).toMatchObject({
      code: "InvalidArgument",
      reason: "REQUEST_INVALID",
      fields: ["after_position"],
    });
  });

  it("ends when the service stops, without delaying it", async () => {
    const test = await startTestApp();
    const { next } = watch(await test.admin(protocol));
    expect(await next()).toBe("  0");
    const end = next();
    await test.app[Symbol.asyncDispose]();
    expect(await end).toBe("end");
  });
});
