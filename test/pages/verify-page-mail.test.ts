import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { texts } from "../../src/texts/texts.ts";
import { codeIn, startTestApp } from "../support/app.ts";
import { outcomeOf } from "../support/errors.ts";
import { untilClosed } from "../support/http/requests.ts";
import { address, handleIn, loginCodeIn, startEnrolment, startLogin } from "../support/pages/mail-links.ts";
import { overHttp1, overHttp2, pathOf, post, shownIn } from "../support/pages/verify-page.ts";
import { addUser, addVerified, mailsNow } from "../support/users.ts";

describe("the mail", () => {
  it("has no code, user or address in its link", async () => {
    const { mail, code, handle } = await startEnrolment();
    const links = (mail.text + mail.html).match(/https?:\/\/[^\s"<]+/g) ?? [];
    expect(links.length).toBeGreaterThan(0);
    for (const link of links) {
      expect(link).toMatch(/\/verify\?h=enrolment~dev~\d+~[\w-]{22}~[\w-]{22}$/);
      expect(link).not.toContain(code);
      expect(link).not.toMatch(/mini|mouse|user/);
    }
    expect(handle).not.toBe("");
  });

  it("of a login links to the page even if the application has a link", async () => {
    const { test, admin } = await startLogin();
    const otpEmailId = await addVerified(admin, "u", "b@mouse.com");
    const token = await test.token("login", { org: "o", permissions: ["otp.challenge"] });
    const delivery = { case: "sendCode", value: { urlTemplate: "https://x.io/{{.Code}}" } } as const;
    const request = { userId: "u", otpEmailId, audience: "https://app.example.com", delivery };
    await test.challengeClient(token).createOTPEmailChallenge(request);
    const [mail] = await test.mails("b@mouse.com");
    const code = loginCodeIn(mail!.text);
    expect(mail!.text).toContain(`https://x.io/${code}`);
    const page = await overHttp1(test, { path: pathOf(handleIn(mail!.text)) });
    expect(shownIn(page)).toBe(code);
  });

  it("T24 links to the public URL, whatever the Host header says", async () => {
    const test = await startTestApp({ environment: { COUNTERSIGN_PUBLIC_URL: "https://otp.example.com" } });
    await addUser(await test.admin());
    const { port } = new URL(test.origin);
    const socket = connect(Number(port), "127.0.0.1");
    const token = await test.token("u");
    const body = JSON.stringify({ email: { address } });
    socket.write(
      `POST /v3alpha/users/u/otp_email HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    );
    expect(await untilClosed(socket)).toMatch(/^HTTP\/1\.1 200 /);
    const [mail] = await test.mails(address);
    expect(mail!.text).toMatch(/^https:\/\/otp\.example\.com\/verify\?h=enrolment~\S+$/m);
    expect(mail!.text + mail!.html).not.toContain("evil");
    const answer = await overHttp2(test, {
      method: "POST",
      path: "/v3alpha/users/u/otp_email",
      headers: {
        ":authority": "evil.example",
        authorization: `Bearer ${token}`,
        "content-type": "application/json",
      },
      body: JSON.stringify({ email: { address: "b@mouse.com" } }),
    });
    expect(answer.status).toBe(200);
    const [other] = await test.mails("b@mouse.com");
    expect(other!.text).toMatch(/^https:\/\/otp\.example\.com\/verify\?h=enrolment~\S+$/m);
    expect(other!.text + other!.html).not.toContain("evil");
    const spoofed = { path: pathOf(handleIn(mail!.text)), headers: { ":authority": "evil.example" } };
    const page = await overHttp2(test, spoofed);
    expect([page.status, page.body.includes("evil")]).toEqual([200, false]);
    // Forms must come from the public URL, not from the Host that a proxy passes on.
    const handle = handleIn(mail!.text);
    const from = (origin: string) => overHttp1(test, post(handle, codeIn(mail!), { origin }));
    expect((await from(test.origin)).status).toBe(403);
    expect((await from("https://otp.example.com")).status).toBe(303);
  });
});

it("accepts the links of older mails, only to report a login", async () => {
  const { test, client, answer } = await startLogin();
  const { challengeId } = answer;
  const secret = Buffer.from(readFileSync(join(test.dataDir, "code-key"), "utf8"), "base64");
  const parts = ["countersign/report/v1", challengeId].map((part) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(part.length);
    return Buffer.concat([length, Buffer.from(part)]);
  });
  const mac = createHmac("sha256", secret).update(Buffer.concat(parts)).digest().subarray(0, 16);
  const handle = `dev~${challengeId}~${mac.toString("base64url")}`;
  const page = await overHttp1(test, { path: `/not-me?challenge=${encodeURIComponent(handle)}` });
  expect(page.body).toContain(texts.en.pages.login.button);
  const field = /name="h" value="([^"]*)"/.exec(page.body)?.[1] ?? "";
  expect((await overHttp1(test, post(field))).headers.location).toBe("/verify?done=reported");
  expect(await outcomeOf(client.verifyOTPEmailChallenge(answer))).toBe("CHALLENGE_ENDED");
  expect(await mailsNow(test, address)).toHaveLength(1);
});
