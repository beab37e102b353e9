import { describe, expect, it } from "vitest";
import { codeIn, protocols, shareTestApp, startTestApp, type TestApp } from "../../support/app.ts";
import { outcomeOf, refusalOf } from "../../support/errors.ts";
import { addUser, newUser } from "../../support/users.ts";

const minute = 60_000;
const address = "mini@mouse.com";

async function startWithUser(environment: Record<string, string> = {}): Promise<TestApp> {
  const test = await startTestApp({ environment });
  await addUser(await test.admin());
  return test;
}

const app = shareTestApp();

const queuedFor = (userId: string) =>
  app().app.store.db.selectFrom("outbox").selectAll().where("user_id", "=", userId).execute();

describe.each(protocols)("AddOTPEmail over %s", (protocol) => {
  it("mails a code with the default link if no verification is given", async () => {
    const test = app();
    const { userId, address } = await newUser(test);
    const reply = await (await test.admin(protocol)).addOTPEmail({ userId, email: { address } });
    expect(reply.verificationCode).toBeUndefined();
    expect(reply.otpEmailId).toMatch(/^[1-9][0-9]{17,18}$/);
    expect(reply.details).toMatchObject({ sequence: 2n, resourceOwner: "o" });
    const [mail] = await test.mails(address);
    expect(mail!.text).toContain(`${test.origin}/verify?h=enrolment~dev~${reply.otpEmailId}~`);
    expect(codeIn(mail!)).toHaveLength(8);
  });

  it("mails a code with the link of send_code", async () => {
    const test = app();
    const { userId, address } = await newUser(test);
    const urlTemplate = "https://app.example.com/{{.OrgID}}/{{ .UserID }}?id={{.OTPEmailID}}&code={{.Code}}";
    const { otpEmailId } = await (await test.admin(protocol)).addOTPEmail({
      userId,
      email: { address, verification: { case: "sendCode", value: { urlTemplate } } },
    });
    const [mail] = await test.mails(address);
    const code = codeIn(mail!);
    expect(mail!.text).toContain(`https://app.example.com/o/${userId}?id=${otpEmailId}&code=${code}\n`);
    expect(mail!.html).toContain(`https://app.example.com/o/${userId}?id=${otpEmailId}&amp;code=${code}"`);
  });

  it("returns the code without a mail for return_code", async () => {
    const client = await app().admin(protocol);
    const { userId, address } = await newUser(app());
    const email = { address, verification: { case: "returnCode", value: {} } } as const;
    const reply = await client.addOTPEmail({ userId, email });
    expect(reply.verificationCode).toMatch(/^[0-9A-HJKMNP-TV-Z]{8}$/);
    expect(await queuedFor(userId)).toEqual([]);
    await client.verifyOTPEmail({ userId, otpEmailId: reply.otpEmailId, code: reply.verificationCode! });
  });

  it("adds a verified address for is_verified", async () => {
    const client = await app().admin(protocol);
    const { userId, address } = await newUser(app());
    const reply = await client.addOTPEmail({
      userId,
      email: { address, verification: { case: "isVerified", value: true } },
    });
    expect(reply.verificationCode).toBeUndefined();
    const { user } = await client.getUserByID({ userId });
    expect(user?.authenticators?.otpEmail).toMatchObject([
      { otpEmailId: reply.otpEmailId, address, isVerified: true },
    ]);
    expect(user?.details).toEqual(reply.details);
    expect(await queuedFor(userId)).toEqual([]);
  });

  it("refuses is_verified: false", async () => {
    const { userId, address } = await newUser(app());
    const email = { address, verification: { case: "isVerified", value: false } } as const;
    const refusal = await refusalOf((await app().admin(protocol)).addOTPEmail({ userId, email }));
    expect(refusal).toMatchObject({
      code: "InvalidArgument",
      reason: "REQUEST_INVALID",
      domain: "countersign",
      fields: ["email.is_verified"],
    });
  });
});

describe("adding an address again", () => {
  it("keeps the authenticator and its valid code until it is verified", async () => {
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

  it("mails the same valid code again, to the address as it was first given", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    await client.addOTPEmail({ userId: "u", email: { address } });
    await test.mails(address);
    test.clock.move(minute);
    await client.addOTPEmail({ userId: "u", email: { address: "Mini@mouse.com" } });
    const mails = await test.mails(address, 2);
    expect(mails.map(codeIn)[0]).toBe(mails.map(codeIn)[1]);
  });

  it("creates a new code if the old one has expired", async () => {
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

  it("is ALREADY_EXISTS if it is verified", async () => {
    const client = await app().admin();
    const { userId, address } = await newUser(app());
    const email = { address, verification: { case: "isVerified", value: true } } as const;
    await client.addOTPEmail({ userId, email });
    const refusal = await refusalOf(
      client.addOTPEmail({ userId, email: { address: address.toUpperCase() } }),
    );
    expect(refusal).toMatchObject({ code: "AlreadyExists", reason: "OTP_EMAIL_ALREADY_EXISTS" });
  });

  it("can vouch for it, which invalidates its code", async () => {
    const client = await app().admin();
    const { userId, address } = await newUser(app());
    const { otpEmailId, verificationCode } = await client.addOTPEmail({
      userId,
      email: { address, verification: { case: "returnCode", value: {} } },
    });
    const vouched = await client.addOTPEmail({
      userId,
      email: { address, verification: { case: "isVerified", value: true } },
    });
    expect(vouched.otpEmailId).toBe(otpEmailId);
    const verify = client.verifyOTPEmail({ userId, otpEmailId, code: verificationCode! });
    expect(await outcomeOf(verify)).toBe("CODE_USED");
  });

  it("creates one authenticator for 50 concurrent calls", async () => {
    const client = await app().admin("gRPC");
    const { userId, address } = await newUser(app());
    const email = { address, verification: { case: "returnCode", value: {} } } as const;
    const replies = await Promise.all(
      Array.from({ length: 50 }, () => client.addOTPEmail({ userId, email })),
    );
    expect(new Set(replies.map((r) => r.otpEmailId)).size).toBe(1);
    expect(new Set(replies.map((r) => r.verificationCode)).size).toBe(1);
    expect(new Set(replies.map((r) => r.details?.sequence)).size).toBe(50);
  });

  it("creates another authenticator for another user", async () => {
    const client = await app().admin();
    const { userId, address } = await newUser(app());
    const other = await newUser(app());
    const email = { address, verification: { case: "isVerified", value: true } } as const;
    const ids = [
      await client.addOTPEmail({ userId, email }),
      await client.addOTPEmail({ userId: other.userId, email }),
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
    ["an empty string", "", "REQUEST_INVALID"],
    ["more than 200 characters", `https://app.example.com/${"x".repeat(200)}`, "REQUEST_INVALID"],
  ])("refuses %s and names the field", async (_name, urlTemplate, reason) => {
    const { userId, address } = await newUser(app());
    const email = { address, verification: { case: "sendCode", value: { urlTemplate } } } as const;
    const refusal = await refusalOf((await app().admin()).addOTPEmail({ userId, email }));
    expect(refusal).toMatchObject({
      code: "InvalidArgument",
      reason,
      fields: ["email.send_code.url_template"],
    });
  });

  it("allows http for loopback hosts", async () => {
    const test = app();
    const { userId, address } = await newUser(test);
    const value = { urlTemplate: "http://localhost:3000/{{.Code}}" };
    await (await test.admin()).addOTPEmail({
      userId,
      email: { address, verification: { case: "sendCode", value } },
    });
    const [mail] = await test.mails(address);
    expect(mail!.text).toContain(`http://localhost:3000/${codeIn(mail!)}`);
  });

  it("is limited to the allowed hosts for the user itself", async () => {
    const test = await startWithUser({ COUNTERSIGN_LINK_HOSTS: "app.example.com" });
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
  it("names the sender and not Countersign", async () => {
    const test = await startWithUser({ COUNTERSIGN_MAIL_FROM: "Clubhouse <codes@mouse.com>" });
    const client = await test.admin();
    await client.addOTPEmail({ userId: "u", email: { address } });
    const [mail] = await test.mails(address);
    expect(mail).toMatchObject({
      to: address,
      subject: "Your code to verify this email address for Clubhouse",
    });
    expect(mail!.from).toContain("codes@mouse.com");
    expect(mail!.text + mail!.html).not.toContain("Countersign");
  });

  it("T24 only links to the public URL, regardless of the Host header", async () => {
    const test = await startWithUser({ COUNTERSIGN_PUBLIC_URL: "https://otp.example.com" });
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
