import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { languages } from "../../src/texts/languages.ts";
import { texts } from "../../src/texts/texts.ts";
import { startTestApp, type TestApp, wrongCode } from "../support/app.ts";
import { outcomeOf } from "../support/errors.ts";
import type { Answer, Question } from "../support/http/requests.ts";
import { address, handleIn, startEnrolment, startLogin } from "../support/pages/mail-links.ts";
import {
  forgeries,
  form,
  overHttp1,
  overHttp2,
  pathOf,
  post,
  type Send,
  shownIn,
  startPage,
} from "../support/pages/verify-page.ts";
import { eventTypes } from "../support/users.ts";

const versions: readonly [string, Send][] = [
  ["HTTP/1.1", overHttp1],
  ["HTTP/2", overHttp2],
];

/** The page without the code and without the handle of the request. */
function withoutValues({ status, headers, body }: Answer): unknown {
  const { date: _, "content-length": __, ...rest } = headers;
  const same = body
    .replace(/(name="(?:h|code)" value=")[^"]*/g, "$1")
    .replace(/(<p class="code"[^>]*>)[^<]*/, "$1");
  return { status, headers: { ...rest }, body: same };
}

async function rowsOf(test: TestApp) {
  const { db } = test.app.store;
  return {
    otpEmails: await db.selectFrom("otp_emails").selectAll().execute(),
    challenges: await db.selectFrom("challenges").selectAll().execute(),
    users: await db.selectFrom("users").selectAll().execute(),
    events: await db.selectFrom("events").selectAll().execute(),
    outbox: await db.selectFrom("outbox").selectAll().execute(),
    hits: await db.selectFrom("hits").selectAll().execute(),
  };
}

describe.each(versions)("over %s", (_, send) => {
  it("shows the code in the form, and verifies the address by its button", async () => {
    const { test, admin, otpEmailId, code, handle } = await startEnrolment();
    const page = await send(test, { path: pathOf(handle) });
    expect([page.status, shownIn(page)]).toEqual([200, code]);
    expect(/name="h" value="([^"]*)"/.exec(page.body)?.[1]).toBe(handle);
    expect(page.body).toMatch(/<form method="post" action="\/verify">/);
    expect(page.body).toContain('autocomplete="one-time-code" inputmode="text"');

    const answer = await send(test, post(handle, shownIn(page)));
    expect([answer.status, answer.headers.location]).toEqual([303, "/verify?done=verified"]);
    const end = await send(test, { path: "/verify?done=verified" });
    expect([end.status, end.body.includes(texts.en.pages.verified.title)]).toEqual([200, true]);
    expect((await admin.getOTPEmail({ userId: "u", otpEmailId })).otpEmail?.isVerified).toBe(true);
  });

  it("changes nothing when a link is opened, however often", async () => {
    for (const { test, handle, code } of [await startEnrolment(), await startLogin()]) {
      const before = await rowsOf(test);
      const look = async () => {
        expect(shownIn(await send(test, { path: pathOf(handle) }))).toBe(code);
        const head = await send(test, { method: "HEAD", path: pathOf(handle) });
        expect([head.status, head.body]).toEqual([200, ""]);
        const headers = { "sec-purpose": "prefetch;prerender", purpose: "prefetch" };
        await send(test, { path: pathOf(handle), headers });
      };
      await Promise.all(Array.from({ length: 20 }, look));
      expect(await rowsOf(test)).toEqual(before);
    }
  });

  it("answers HEAD with the headers of GET", async () => {
    const { test, handle } = await startEnrolment();
    const get = await send(test, { path: pathOf(handle) });
    const head = await send(test, { method: "HEAD", path: pathOf(handle) });
    const { date: _, connection: __, "keep-alive": ___, ...expected } = get.headers;
    expect(head.headers).toMatchObject({ ...expected });
    expect(head.headers["content-length"]).toBe(String(Buffer.byteLength(get.body)));
  });

  /** Expects the page that `live` has, but without a code. */
  const expectNoCode = async (test: TestApp, live: unknown, ...handles: string[]) => {
    for (const handle of handles) {
      const page = await send(test, { path: pathOf(handle) });
      expect(shownIn(page), handle).toBe("");
      expect(withoutValues(page), handle).toEqual(live);
    }
  };

  it("T17 shows the same page for dead, unknown and forged handles", async () => {
    const { test, admin, handle, otpEmailId, code } = await startEnrolment();
    const live = withoutValues(await send(test, { path: pathOf(handle) }));
    const malformed = ["", '"><script>alert(1)</script>', "é".repeat(300), `enrolment~${"x".repeat(201)}`];
    await expectNoCode(test, live, ...forgeries(handle), ...malformed);
    await admin.lockUser({ userId: "u" });
    await expectNoCode(test, live, handle);
    await admin.unlockUser({ userId: "u" });
    expect(shownIn(await send(test, { path: pathOf(handle) }))).toBe(code);
    test.clock.move(600_000);
    await expectNoCode(test, live, handle);
    await admin.removeOTPEmail({ userId: "u", otpEmailId });
    await expectNoCode(test, live, handle);
    await admin.deleteUser({ userId: "u" });
    await expectNoCode(test, live, handle);
  });

  it("T17 shows the same login page for dead, unknown and forged handles", async () => {
    const { test, admin, handle, client, answer } = await startLogin();
    const live = withoutValues(await send(test, { path: pathOf(handle) }));
    await expectNoCode(test, live, ...forgeries(handle));
    await client.verifyOTPEmailChallenge(answer);
    await expectNoCode(test, live, handle);
    await admin.deleteUser({ userId: "u" });
    await expectNoCode(test, live, handle);
  });

  it("T17 answers every refused code alike, whatever the reason", async () => {
    const { test, admin, handle, code, otpEmailId } = await startEnrolment();
    const first = await send(test, post(handle, wrongCode(code)));
    expect(first.status).toBe(400);
    expect(first.body).toContain(texts.en.pages.verify.failed);
    const refused = async (text: string, typed?: string) => {
      const answer = await send(test, post(text, typed));
      expect(shownIn(answer)).toBe("");
      expect(withoutValues(answer)).toEqual(withoutValues(first));
    };
    for (const forged of [...forgeries(handle), ""]) await refused(forged, code);
    for (const typed of ["", "!", "x".repeat(3_000), undefined]) await refused(handle, typed);
    await admin.lockUser({ userId: "u" });
    await refused(handle, code);
    await admin.unlockUser({ userId: "u" });
    // The first was one of five.
    for (let i = 2; i <= 5; i++) await refused(handle, wrongCode(code, i));
    await refused(handle, code);
    test.clock.move(600_000);
    await refused(handle, code);
    await admin.removeOTPEmail({ userId: "u", otpEmailId });
    await refused(handle, code);
    await admin.deleteUser({ userId: "u" });
    await refused(handle, code);
  });

  it("refuses a form from another site, which changes nothing", async () => {
    const { test, handle, code } = await startEnrolment();
    const before = await rowsOf(test);
    const crossSite: Record<string, string>[] = [
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
      { "sec-fetch-site": "cross-site", origin: test.origin },
      { origin: "https://evil.example" },
      { origin: test.origin.replace("127.0.0.1", "localhost") },
      { origin: `${test.origin}.evil.example` },
    ];
    for (const headers of crossSite) {
      const answer = await send(test, post(handle, code, headers));
      expect([answer.status, answer.body.includes("CROSS_SITE")], JSON.stringify(headers)).toEqual([
        403,
        true,
      ]);
    }
    expect(await rowsOf(test)).toEqual(before);
  });

  it.each<Record<string, string>>([
    {},
    { "sec-fetch-site": "same-origin", origin: "null" },
    { "sec-fetch-site": "none" },
    { origin: "null" },
  ])("accepts a form with the headers %j", async (headers) => {
    const { test, handle, code } = await startEnrolment();
    expect((await send(test, post(handle, code, headers))).status).toBe(303);
  });

  it("accepts a form from its own origin without Fetch Metadata", async () => {
    const { test, handle, code } = await startEnrolment();
    expect((await send(test, post(handle, code, { origin: test.origin }))).status).toBe(303);
  });

  it("accepts only URL-encoded forms of at most 4 KiB", async () => {
    const { test, handle, code } = await startEnrolment();
    const before = await rowsOf(test);
    const right = post(handle, code);
    const statusWith = async (more: Partial<Question>) => (await send(test, { ...right, ...more })).status;
    for (const type of ["application/json", "multipart/form-data; boundary=x", "text/plain", "a"]) {
      expect(await statusWith({ headers: { "content-type": type } }), type).toBe(415);
    }
    expect(await statusWith({ headers: { ...form, "content-encoding": "gzip" } })).toBe(415);
    expect(await statusWith({ body: `${right.body}&x=${"x".repeat(4_096)}` })).toBe(413);
    expect(await rowsOf(test)).toEqual(before);
    expect(await statusWith({ headers: { "content-type": `${form["content-type"]}; charset=UTF-8` } })).toBe(
      303,
    );
  });

  it("refuses other methods", async () => {
    const { test, handle } = await startEnrolment();
    for (const method of ["PUT", "DELETE", "OPTIONS", "PATCH"]) {
      const answer = await send(test, { method, path: pathOf(handle) });
      expect([answer.status, answer.headers.allow]).toEqual([405, "GET, HEAD, POST"]);
      expect(answer.body).toContain("METHOD_NOT_ALLOWED");
    }
  });

  it("forbids caching, framing and scripts in every reply", async () => {
    const { test, handle, code } = await startEnrolment();
    const questions: Question[] = [
      { path: pathOf(handle) },
      { path: pathOf("login~x") },
      { path: "/verify?done=reported" },
      { method: "DELETE", path: "/verify" },
      post(handle, "wrong"),
      post(handle, code),
    ];
    for (const question of questions) {
      const { headers, body } = await send(test, question);
      const policy = String(headers["content-security-policy"]);
      expect(policy).toMatch(
        /^default-src 'none'; style-src 'sha256-[^']+'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'$/,
      );
      expect(headers).toMatchObject({
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        vary: "Accept-Language",
      });
      expect(headers).not.toHaveProperty("access-control-allow-origin");
      expect(headers).not.toHaveProperty("set-cookie");
      const style = /<style>([\s\S]*)<\/style>/.exec(body)?.[1];
      if (style !== undefined) {
        expect(policy).toContain(createHash("sha256").update(style).digest("base64"));
      }
      expect(body).not.toMatch(/<(script|img|iframe|link|a)\b|javascript:| style=| on[a-z]+=/i);
    }
  });

  it("shows the code of a login, and never completes it", async () => {
    const { test, handle, code, client, answer } = await startLogin();
    const page = await send(test, { path: pathOf(handle) });
    expect(shownIn(page)).toBe(code);
    expect(page.body).not.toMatch(/<input(?! type="hidden" name="h")/);
    // Even with the code the form only reports the login.
    expect((await send(test, post(handle, code))).headers.location).toBe("/verify?done=reported");
    expect(await eventTypes(test)).not.toContain("challenge.passed");
    expect(await outcomeOf(client.verifyOTPEmailChallenge(answer))).toBe("CHALLENGE_ENDED");
  });

  it("ends a login that the reader did not start, once", async () => {
    const { test, handle, client, answer } = await startLogin();
    for (let i = 0; i < 2; i++) {
      const reply = await send(test, post(handle));
      expect([reply.status, reply.headers.location]).toEqual([303, "/verify?done=reported"]);
    }
    const end = await send(test, { path: "/verify?done=reported" });
    expect(end.body).toContain(texts.en.pages.reported.text);
    expect(await outcomeOf(client.verifyOTPEmailChallenge(answer))).toBe("CHALLENGE_ENDED");
    const events = await test.app.store.db.selectFrom("events").selectAll().execute();
    const reports = events.filter(({ type }) => type === "challenge.reported");
    expect(reports).toHaveLength(1);
    expect(reports[0]).toMatchObject({
      actor: "urn:countersign:mail-reader",
      client_address: "127.0.0.1",
    });
  });

  it("T24 ignores forwarded headers in pages and redirects", async () => {
    const { test, handle, code } = await startEnrolment();
    const plain = await send(test, { path: pathOf(handle) });
    const headers = {
      "x-forwarded-host": "evil.example",
      "x-forwarded-proto": "javascript",
      forwarded: "host=evil.example;proto=javascript",
    };
    const spoofed = await send(test, { path: pathOf(handle), headers });
    expect(spoofed.body).toBe(plain.body);
    expect((await send(test, post(handle, code, headers))).headers.location).toBe("/verify?done=verified");
  });
});

describe("the page", () => {
  it("uses a language of the request or the default, never the preferred language of the user", async () => {
    const test = await startTestApp();
    const admin = await test.admin();
    const organization = { org: { case: "orgId", value: "o" } } as const;
    await admin.createUser({ userId: "u", organization, preferredLanguage: "ja" });
    await admin.addOTPEmail({ userId: "u", email: { address } });
    const [mail] = await test.mails(address);
    const spoken = async (accept: string | undefined) => {
      const headers: Record<string, string> = accept === undefined ? {} : { "accept-language": accept };
      const { body } = await overHttp2(test, { path: pathOf(handleIn(mail!.text)), headers });
      return /<html lang="(\w+)" dir="(\w+)">/.exec(body)?.slice(1);
    };
    expect(await spoken(undefined)).toEqual(["en", "ltr"]);
    expect(await spoken("*")).toEqual(["en", "ltr"]);
    expect(await spoken("xx, ar-EG;q=0.5")).toEqual(["ar", "rtl"]);
    expect(await spoken("de-AT,de;q=0.9,en;q=0.8")).toEqual(["de", "ltr"]);
  });

  it.each(languages)("has all texts in %s", async (language) => {
    const server = await startPage();
    const t = texts[language].pages;
    const headers = { "accept-language": language };
    const expectTexts = async (path: string, texts: object) => {
      const { body } = await overHttp1(server, { path, headers });
      for (const text of Object.values(texts)) expect(body).toContain(text);
    };
    const { failed: failure, ...first } = t.verify;
    await expectTexts("/verify", first);
    await expectTexts("/verify?h=login~x", t.login);
    await expectTexts("/verify?done=verified", t.verified);
    await expectTexts("/verify?done=reported", t.reported);
    const failed = await overHttp1(server, post("", "x", headers));
    expect(failed.headers["content-language"]).toBe(language);
    expect(failed.body).toContain(failure);
  });

  it("shows the escaped name of the service", async () => {
    const test = await startTestApp({
      environment: { COUNTERSIGN_MAIL_FROM: "Tom & Jerry's <codes@mouse.com>" },
    });
    const { body } = await overHttp1(test, { path: "/verify" });
    expect(body).toContain("<bdi>Tom &#38; Jerry&#39;s</bdi>");
  });
});
