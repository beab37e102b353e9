import { describe, expect, it } from "vitest";
import { codeIn, type Mail, protocols, startTestApp, type TestApp } from "../../support/app.ts";
import { addPending, addUser, addVerified, mailsNow } from "../../support/users.ts";

const owner = "owner@mouse.com";

async function startWithOwner(): Promise<TestApp> {
  const test = await startTestApp();
  const client = await test.admin();
  await addUser(client);
  await addVerified(client, "u", owner);
  return test;
}

describe.each(protocols)("T47 notices over %s", (protocol) => {
  it("tell the other verified addresses of each change, its time and client, without links", async () => {
    const test = await startWithOwner();
    const client = await test.admin(protocol);
    const { otpEmailId } = await client.addOTPEmail({ userId: "u", email: { address: "new@x.io" } });
    const [codeMail] = await test.mails("new@x.io");
    const code = codeIn(codeMail!);
    await test.mails(owner, 1);
    test.clock.move(60_000);
    await client.verifyOTPEmail({ userId: "u", otpEmailId, code });
    await test.mails(owner, 2);
    test.clock.move(60_000);
    await client.removeOTPEmail({ userId: "u", otpEmailId });
    const mails = await test.mails(owner, 3);

    const texts = mails.map((mail) => mail.text).reverse();
    expect(texts[0]).toContain("An email address was added to your account");
    expect(texts[0]).toMatch(/on November 23, 2026\D* 09:00:00 UTC, from 127\.0\.0\.1\.$/m);
    expect(texts[1]).toContain("was verified");
    expect(texts[1]).toMatch(/on November 23, 2026\D* 09:01:00 UTC, from 127\.0\.0\.1\.$/m);
    expect(texts[2]).toContain("An email address was removed from your account");
    expect(texts[2]).toMatch(/on November 23, 2026\D* 09:02:00 UTC, from 127\.0\.0\.1\.$/m);
    for (const mail of mails) {
      const all = mail.subject + mail.text + mail.html;
      for (const secret of [
        code,
        otpEmailId,
        "new@x.io",
        "x.io",
        "http:",
        "https:",
        "href",
        "<a ",
        "<form",
      ]) {
        expect(all).not.toContain(secret);
      }
    }
    // The changed address itself gets no notice.
    expect((await mailsNow(test, "new@x.io")).map((mail: Mail) => mail.id)).toEqual([codeMail!.id]);
  });
});

describe("T47 notices", () => {
  it("tell of an address that is vouched for, but don't go to unverified addresses", async () => {
    const test = await startWithOwner();
    const client = await test.admin();
    await addPending(client, "u", "pending@x.io");
    await test.mails(owner, 1);
    await addVerified(client, "u", "pending@x.io");
    const mails = await test.mails(owner, 2);
    expect(mails[0]!.text).toContain("was verified");
    expect(await mailsNow(test, "pending@x.io")).toEqual([]);
  });

  it("are limited in a loop of adding and removing, which is not refused", async () => {
    const test = await startWithOwner();
    const client = await test.admin();
    for (let i = 0; i < 15; i++) {
      const { otpEmailId } = await addPending(client, "u", "loop@x.io");
      await client.removeOTPEmail({ userId: "u", otpEmailId });
    }
    await test.mails(owner, 20);
    expect(await test.app.store.db.selectFrom("outbox").selectAll().execute()).toHaveLength(20);
    test.clock.move(24 * 3_600_000);
    await addPending(await test.admin(), "u", "loop@x.io");
    await test.mails(owner, 21);
  });

  it("are not sent to the only address of a user", async () => {
    const test = await startWithOwner();
    expect(await test.app.store.db.selectFrom("outbox").selectAll().execute()).toEqual([]);
  });
});
