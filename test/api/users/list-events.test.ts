import { describe, expect, it } from "vitest";
import { protocols, startTestApp, wrongCode } from "../../support/app.ts";
import { outcomeOf, refusalOf } from "../../support/errors.ts";
import { addPending, addUser } from "../../support/users.ts";

describe.each(protocols)("ListEvents over %s", (protocol) => {
  it("returns what happened, by whom, from where and why, the latest first", async () => {
    const test = await startTestApp();
    const client = await test.admin(protocol);
    await addUser(client);
    const { otpEmailId, code } = await addPending(client);
    const self = test.client(await test.token("u"), protocol);
    await outcomeOf(self.verifyOTPEmail({ userId: "u", otpEmailId, code: wrongCode(code) }));
    await client.lockUser({ userId: "u", reason: "a stolen phone" });
    const { events, nextPageToken } = await client.listEvents({ userId: "u" });
    const common = { userId: "u", orgId: "o", clientAddress: "127.0.0.1" };
    expect(events).toMatchObject([
      { ...common, sequence: 4n, type: "user.locked", actor: "admin", reason: "a stolen phone" },
      {
        ...common,
        sequence: 3n,
        type: "otp_email.verify_failed",
        actor: "u",
        data: { otp_email_id: otpEmailId, attempts: 1 },
      },
      {
        ...common,
        sequence: 2n,
        type: "otp_email.added",
        data: { otp_email_id: otpEmailId, verification: "return_code" },
      },
      { ...common, sequence: 1n, type: "user.created", reason: "", data: {} },
    ]);
    expect(nextPageToken).toBe("");
    const { user } = await client.getUserByID({ userId: "u" });
    expect(events[0]?.time).toEqual(user?.details?.changeDate);
    for (const secret of [code, wrongCode(code), "mini"]) {
      const text = JSON.stringify(events, (_, v) => (typeof v === "bigint" ? String(v) : v));
      expect(text).not.toContain(secret);
    }
  });
});

describe("ListEvents", () => {
  it("pages backwards, and new events neither repeat nor hide others", async () => {
    const test = await startTestApp();
    const client = await test.admin();
    await addUser(client);
    for (let i = 0; i < 4; i++) {
      await client.lockUser({ userId: "u" });
      await client.unlockUser({ userId: "u" });
    }
    const seen: bigint[] = [];
    let pageToken = "";
    do {
      const reply = await client.listEvents({ userId: "u", pageSize: 2, pageToken });
      seen.push(...reply.events.map((e) => e.sequence));
      pageToken = reply.nextPageToken;
      await outcomeOf(client.lockUser({ userId: "u" }));
    } while (pageToken !== "");
    expect(seen).toEqual([9n, 8n, 7n, 6n, 5n, 4n, 3n, 2n, 1n]);
  });

  it("refuses the page token of another user", async () => {
    const test = await startTestApp();
    const client = await test.admin();
    await addUser(client, "u");
    await addUser(client, "v");
    await client.lockUser({ userId: "u" });
    const { nextPageToken: pageToken } = await client.listEvents({ userId: "u", pageSize: 1 });
    expect(await refusalOf(client.listEvents({ userId: "v", pageToken }))).toMatchObject({
      reason: "PAGE_TOKEN_INVALID",
      fields: ["page_token"],
    });
  });

  it("T12 shows no events of a user of another organization that had the same id", async () => {
    const test = await startTestApp();
    const client = await test.admin();
    await addUser(client, "u", "o");
    await client.deleteUser({ userId: "u", reason: "secret of o" });
    expect(await outcomeOf(client.listEvents({ userId: "u" }))).toBe("USER_NOT_FOUND");
    await addUser(client, "u", "p");
    const { events } = await client.listEvents({ userId: "u" });
    expect(events.map((e) => [e.sequence, e.type, e.orgId])).toEqual([[1n, "user.created", "p"]]);
    await client.deleteUser({ userId: "u" });
    await addUser(client, "u", "o");
    const again = await client.listEvents({ userId: "u" });
    expect(again.events.map((e) => e.type)).toEqual(["user.created", "user.deleted", "user.created"]);
  });
});
