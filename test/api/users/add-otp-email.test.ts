import { describe, expect, it } from "vitest";
import { codeIn, protocols, startTestApp, type TestApp } from "../../support/app.ts";
import { outcomeOf, refusalOf } from "../../support/errors.ts";

const minute = 60_000;
const address = "mini@mouse.com";

async function startWithUser(): Promise<TestApp> {
  const test = await startTestApp();
  await (await test.admin()).createUser({
    userId: "u",
    organization: { org: { case: "orgId", value: "o" } },
  });
  return test;
}

describe.each(protocols)("AddOTPEmail over %s", (protocol) => {
  it("mails a code with the default link when no verification is given", async () => {
    const test = await startWithUser();
    const reply = await (await test.admin(protocol)).addOTPEmail({ userId: "u", email: { address } });
    expect(reply.verificationCode).toBeUndefined();
    expect(reply.otpEmailId).toMatch(/^[1-9][0-9]{17,18}$/);
    expect(reply.details).toMatchObject({ sequence: 2n, resourceOwner: "o" });
    const [mail] = await test.mails(address);
    expect(mail!.text).toContain(`${test.origin}/verify?h=enrolment~dev~${reply.otpEmailId}~`);
    expect(codeIn(mail!)).toHaveLength(8);
  });

  it("mails a code with the link of send_code", async () => {
    const test = await startWithUser();
    const urlTemplate = "https://app.example.com/{{.OrgID}}/{{ .UserID }}?id={{.OTPEmailID}}&code={{.Code}}";
    const { otpEmailId } = await (await test.admin(protocol)).addOTPEmail({
      userId: "u",
      email: { address, verification: { case: "sendCode", value: { urlTemplate } } },
    });
    const [mail] = await test.mails(address);
    const code = codeIn(mail!);
    expect(mail!.text).toContain(`https://app.example.com/o/u?id=${otpEmailId}&code=${code}\n`);
    expect(mail!.html).toContain(`https://app.example.com/o/u?id=${otpEmailId}&amp;code=${code}"`);
  });

  it("returns the code and mails nothing for return_code", async () => {
    const test = await startWithUser();
    const client = await test.admin(protocol);
    const email = { address, verification: { case: "returnCode", value: {} } } as const;
    const reply = await client.addOTPEmail({ userId: "u", email });
    expect(reply.verificationCode).toMatch(/^[0-9A-HJKMNP-TV-Z]{8}$/);
    const queued = await test.app.store.db.selectFrom("outbox").selectAll().execute();
    expect(queued).toEqual([]);
    await client.verifyOTPEmail({ userId: "u", otpEmailId: reply.otpEmailId, code: reply.verificationCode! });
  });

  it("adds a verified address for is_verified", async () => {
    const test = await startWithUser();
    const client = await test.admin(protocol);
    const reply = await client.addOTPEmail({
      userId: "u",
      email: { address, verification: { case: "isVerified", value: true } },
    });
    expect(reply.verificationCode).toBeUndefined();
    const { user } = await client.getUserByID({ userId: "u" });
    expect(user?.authenticators?.otpEmail).toMatchObject([
      { otpEmailId: reply.otpEmailId, address, isVerified: true },
    ]);
    expect(user?.details).toEqual(reply.details);
    expect(await test.app.store.db.selectFrom("outbox").selectAll().execute()).toEqual([]);
  });

  it("refuses is_verified: false", async () => {
    const test = await startWithUser();
    const email = { address, verification: { case: "isVerified", value: false } } as const;
    const refusal = await refusalOf((await test.admin(protocol)).addOTPEmail({ userId: "u", email }));
    expect(refusal).toMatchObject({
      code: "InvalidArgument",
      reason: "REQUEST_INVALID",
      domain: "countersign",
      fields: ["email.is_verified"],
    });
  });
});

describe("the same address again", () => {
  it("keeps the authenticator and its live code while it waits to be verified", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    const first = await client.addOTPEmail({ userId: "u", email: { address } });
    const [mail] = await test.mails(address);
    test.clock.move(9 * minute);
    const again = await client.addOTPEmail({
      userId: "u",
      email: { address: "MINI@Mouse.COM", verification: { case: "returnCode", value: {} } },
    });
    expect(again.otpEmailId).toBe(first.otpEmailId);
    expect(again.verificationCode).toBe(codeIn(mail!));
  });

  it("mails the same live code again, to the address as it was first given", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    await client.addOTPEmail({ userId: "u", email: { address } });
    await test.mails(address);
    test.clock.move(minute);
    await client.addOTPEmail({ userId: "u", email: { address: "Mini@mouse.com" } });
    const mails = await test.mails(address, 2);
    expect(mails.map(codeIn)[0]).toBe(mails.map(codeIn)[1]);
  });

  it("has a fresh code when the old one expired", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    const email = { address, verification: { case: "returnCode", value: {} } } as const;
    const first = await client.addOTPEmail({ userId: "u", email });
    test.clock.move(10 * minute);
    const again = await client.addOTPEmail({ userId: "u", email });
    expect(again.otpEmailId).toBe(first.otpEmailId);
    expect(again.verificationCode).not.toBe(first.verificationCode);
    const verify = (code: string) =>
      client.verifyOTPEmail({ userId: "u", otpEmailId: first.otpEmailId, code });
    expect(await outcomeOf(verify(first.verificationCode!))).toBe("CODE_INVALID");
    expect(await outcomeOf(verify(again.verificationCode!))).toBe("OK");
  });

  it("is ALREADY_EXISTS once it is verified", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    const email = { address, verification: { case: "isVerified", value: true } } as const;
    await client.addOTPEmail({ userId: "u", email });
    const refusal = await refusalOf(
      client.addOTPEmail({ userId: "u", email: { address: "Mini@MOUSE.com" } }),
    );
    expect(refusal).toMatchObject({ code: "AlreadyExists", reason: "OTP_EMAIL_ALREADY_EXISTS" });
  });

  it("can be vouched for while it waits, which ends its code", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    const { otpEmailId, verificationCode } = await client.addOTPEmail({
      userId: "u",
      email: { address, verification: { case: "returnCode", value: {} } },
    });
    const vouched = await client.addOTPEmail({
      userId: "u",
      email: { address, verification: { case: "isVerified", value: true } },
    });
    expect(vouched.otpEmailId).toBe(otpEmailId);
    const verify = client.verifyOTPEmail({ userId: "u", otpEmailId, code: verificationCode! });
    expect(await outcomeOf(verify)).toBe("CODE_USED");
  });

  it("is one authenticator however many calls add it at once", async () => {
    const test = await startWithUser();
    const client = await test.admin("gRPC");
    const email = { address, verification: { case: "returnCode", value: {} } } as const;
    const replies = await Promise.all(
      Array.from({ length: 50 }, () => client.addOTPEmail({ userId: "u", email })),
    );
    expect(new Set(replies.map((r) => r.otpEmailId)).size).toBe(1);
    expect(new Set(replies.map((r) => r.verificationCode)).size).toBe(1);
    expect(new Set(replies.map((r) => r.details?.sequence)).size).toBe(50);
  });

  it("is another authenticator for another user", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    await client.createUser({ userId: "v", organization: { org: { case: "orgId", value: "o" } } });
    const email = { address, verification: { case: "isVerified", value: true } } as const;
    const ids = [
      await client.addOTPEmail({ userId: "u", email }),
      await client.addOTPEmail({ userId: "v", email }),
    ];
    expect(new Set(ids.map((r) => r.otpEmailId)).size).toBe(2);
  });
});

describe("url_template", () => {
  it.each([
    ["an unknown variable", "https://app.example.com/{{.Secret}}", "URL_TEMPLATE_INVALID"],
    ["a function call", "https://app.example.com/{{printf .Code}}", "URL_TEMPLATE_INVALID"],
    ["clear text", "http://app.example.com/", "URL_TEMPLATE_INVALID"],
    ["a script", "javascript:alert(1)", "URL_TEMPLATE_INVALID"],
    ["nothing", "", "REQUEST_INVALID"],
    ["more than 200 characters", `https://app.example.com/${"x".repeat(200)}`, "REQUEST_INVALID"],
  ])("refuses %s and names the field", async (_name, urlTemplate, reason) => {
    const test = await startWithUser();
    const email = { address, verification: { case: "sendCode", value: { urlTemplate } } } as const;
    const refusal = await refusalOf((await test.admin()).addOTPEmail({ userId: "u", email }));
    expect(refusal).toMatchObject({
      code: "InvalidArgument",
      reason,
      fields: ["email.send_code.url_template"],
    });
  });

  it("allows http for loopback hosts", async () => {
    const test = await startWithUser();
    const value = { urlTemplate: "http://localhost:3000/{{.Code}}" };
    await (await test.admin()).addOTPEmail({
      userId: "u",
      email: { address, verification: { case: "sendCode", value } },
    });
    const [mail] = await test.mails(address);
    expect(mail!.text).toContain(`http://localhost:3000/${codeIn(mail!)}`);
  });

  it("of the user itself may name only allowed hosts", async () => {
    const test = await startTestApp({ environment: { COUNTERSIGN_LINK_HOSTS: "app.example.com" } });
    await (await test.admin()).createUser({
      userId: "u",
      organization: { org: { case: "orgId", value: "o" } },
    });
    const self = test.client(await test.token("u"));
    const add = (urlTemplate: string) =>
      self.addOTPEmail({
        userId: "u",
        email: { address, verification: { case: "sendCode", value: { urlTemplate } } },
      });
    const refused = [
      "https://evil.example/{{.Code}}",
      "https://app.example.com:444/",
      "https://app.example.com.evil.example/",
    ];
    for (const template of refused) expect(await outcomeOf(add(template))).toBe("PERMISSION_MISSING");
    expect(await outcomeOf(add("https://app.example.com/{{.Code}}"))).toBe("OK");
  });
});

describe("a mail", () => {
  it("names the sender, not this program", async () => {
    const test = await startTestApp({
      environment: { COUNTERSIGN_MAIL_FROM: "Clubhouse <codes@mouse.com>" },
    });
    const client = await test.admin();
    await client.createUser({ userId: "u", organization: { org: { case: "orgId", value: "o" } } });
    await client.addOTPEmail({ userId: "u", email: { address } });
    const [mail] = await test.mails(address);
    expect(mail).toMatchObject({
      to: address,
      subject: "Your code to verify this email address for Clubhouse",
    });
    expect(mail!.from).toContain("codes@mouse.com");
    expect(mail!.text + mail!.html).not.toContain("Countersign");
  });

  it("T24 links only to the public URL, whatever Host the request names", async () => {
    const test = await startTestApp({ environment: { COUNTERSIGN_PUBLIC_URL: "https://otp.example.com" } });
    await (await test.admin()).createUser({
      userId: "u",
      organization: { org: { case: "orgId", value: "o" } },
    });
    const reply = await fetch(`${test.origin}/v3alpha/users/u/otp_email`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${await test.token("u")}`,
        "content-type": "application/json",
        "x-forwarded-host": "evil.example",
        "x-forwarded-proto": "javascript",
        forwarded: "host=evil.example",
      },
      body: JSON.stringify({ email: { address } }),
    });
    expect(reply.status).toBe(200);
    const [mail] = await test.mails(address);
    expect(mail!.text + mail!.html).toContain("https://otp.example.com/verify?");
    expect(mail!.text + mail!.html).not.toContain("evil");
  });
});
