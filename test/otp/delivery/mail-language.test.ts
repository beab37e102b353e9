import { describe, expect, it } from "vitest";
import { type Protocol, protocols, startTestApp, type TestApp } from "../../support/app.ts";
import { addUser, addVerified } from "../../support/users.ts";

const address = "mini@mouse.com";
const inGerman = { headers: { "accept-language": "de-CH, en;q=0.5" } };

async function startWithUser(preferredLanguage?: string, environment: Record<string, string> = {}) {
  const test = await startTestApp({ environment });
  await (await test.admin()).createUser({
    userId: "u",
    preferredLanguage,
    organization: { org: { case: "orgId", value: "o" } },
  });
  return test;
}

async function add(test: TestApp, headers: Record<string, string>, protocol?: Protocol) {
  await (await test.admin(protocol)).addOTPEmail({ userId: "u", email: { address } }, { headers });
  const [mail] = await test.mails(address);
  return /<html lang="(\w+)"/.exec(mail!.html)?.[1];
}

describe.each(protocols)("over %s", (protocol) => {
  it("a mail is in the language that the call requests", async () => {
    const test = await startWithUser("fr");
    expect(await add(test, inGerman.headers, protocol)).toBe("de");
    const [mail] = await test.mails(address);
    expect(mail!.subject).toBe("Ihr Code zur Bestätigung dieser E-Mail-Adresse bei Countersign");
    expect(mail!.text).toContain("innerhalb von 10 Minuten nach");
  });
});

describe("the language of a mail", () => {
  it.each<[string, Record<string, string>, string | undefined, string, string]>([
    ["the user's, if the call requests none", {}, "fr-CA", "it", "fr"],
    ["the user's, if the call accepts any", { "accept-language": "*" }, "fr", "it", "fr"],
    ["the user's, if none of the requested ones is available", { "accept-language": "eo" }, "fr", "it", "fr"],
    ["the default, if the user's is not available", {}, "eo", "it", "it"],
    ["the default, if there is no other", {}, undefined, "ja", "ja"],
    [
      "the default, if the header is malformed",
      { "accept-language": "<script>, ../../de" },
      undefined,
      "en",
      "en",
    ],
  ])("is %s", async (_what, headers, preferred, fallback, expected) => {
    const test = await startWithUser(preferred, { COUNTERSIGN_DEFAULT_LANGUAGE: fallback });
    expect(await add(test, headers)).toBe(expected);
  });

  it("is that of the latest call, also for a waiting mail", async () => {
    const test = await startWithUser("fr", {
      COUNTERSIGN_SMTP_URL: "smtp://127.0.0.1:1",
      COUNTERSIGN_MAIL_INTERVAL: "0s",
    });
    const client = await test.admin();
    const { otpEmailId } = await client.addOTPEmail({ userId: "u", email: { address } }, inGerman);
    const waiting = () =>
      test.app.store.db
        .selectFrom("outbox")
        .select(["language", "message_id"])
        .where("state", "=", "queued")
        .execute();
    // The courier has the mail first.
    await expect
      .poll(
        async () => (await test.app.store.db.selectFrom("outbox").select("lease_id").execute())[0]?.lease_id,
      )
      .toBeNull();
    const [before, ...none] = await waiting();
    expect([before?.language, none]).toEqual(["de", []]);
    const resend = (language: string) =>
      client.resendOTPEmailCode({ userId: "u", otpEmailId }, { headers: { "accept-language": language } });
    await resend("ko");
    const now = await waiting();
    expect(now.map(({ language }) => language)).toContain("ko");
    expect(now.find(({ language }) => language === "ko")?.message_id).not.toBe(before?.message_id);
  });

  it("is the call's for a login, and the user's for a notice, whose caller may not be the user", async () => {
    const test = await startWithUser("pl");
    const client = await test.admin();
    const otpEmailId = await addVerified(client, "u", address);
    const challenges = test.challengeClient(await test.token("app", { permissions: ["otp.challenge"] }));
    const asked = { userId: "u", otpEmailId, audience: "https://app.example.com" };
    await challenges.createOTPEmailChallenge(asked, { headers: { "accept-language": "ar" } });
    expect((await test.mails(address))[0]!.html).toContain('<html lang="ar" dir="rtl"');
    await client.addOTPEmail({ userId: "u", email: { address: "new@x.io" } }, inGerman);
    expect((await test.mails(address, 2))[0]!.html).toContain('<html lang="pl" dir="ltr"');
  });

  it("is used without the code in the subject, unless COUNTERSIGN_CODE_IN_SUBJECT is on", async () => {
    for (const setting of ["off", "on"]) {
      const test = await startTestApp({ environment: { COUNTERSIGN_CODE_IN_SUBJECT: setting } });
      const client = await test.admin();
      await addUser(client);
      await client.addOTPEmail({ userId: "u", email: { address } });
      const [mail] = await test.mails(address);
      const code = /^@127\.0\.0\.1 #(\S+)\n$/m.exec(mail!.text)?.[1] ?? "";
      expect(code).toMatch(/^[0-9A-Z]{8}$/);
      expect(mail!.subject.startsWith(`${code} - Your code`), setting).toBe(setting === "on");
      expect(mail!.subject.includes(code), setting).toBe(setting === "on");
    }
  });
});
