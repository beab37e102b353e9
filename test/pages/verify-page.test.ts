import { createHash, createHmac, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../src/lib/clock.ts";
import { claimedPurpose } from "../../src/otp/codes/mail-handle.ts";
import { verifyPages } from "../../src/pages/verify-page.ts";
import { languages } from "../../src/texts/languages.ts";
import { pageTexts } from "../../src/texts/pages/index.ts";
import { codeIn, startTestApp, type TestApp, wrongCode } from "../support/app.ts";
import { outcomeOf } from "../support/errors.ts";
import {
  type Answer,
  open,
  openHttp2,
  type Question,
  sendHttp2,
  start,
  untilClosed,
  untilReceived,
} from "../support/http/requests.ts";
import { address, handleIn, loginCodeIn, startEnrolment, startLogin } from "../support/mail-links.ts";
import { addUser, addVerified, eventTypes, mailsNow } from "../support/users.ts";

const form = { "content-type": "application/x-www-form-urlencoded" };

/** Sends one request to the service, over either version of HTTP. */
type Send = (server: Pick<TestApp, "origin">, question: Question) => Promise<Answer>;

const overHttp1: Send = async (server, { method = "GET", path = "/", headers = {}, body }) => {
  const reply = await fetch(server.origin + path, {
    method,
    headers,
    redirect: "manual",
    ...(body === undefined ? {} : { body }),
  });
  return { status: reply.status, headers: Object.fromEntries(reply.headers), body: await reply.text() };
};

const overHttp2: Send = async (server, { method = "GET", path = "/", headers = {}, body }) => {
  const session = openHttp2(server);
  try {
    return await sendHttp2(session, { ":method": method, ":path": path, ...headers }, body);
  } finally {
    session.close();
  }
};

const versions: readonly [string, Send][] = [
  ["HTTP/1.1", overHttp1],
  ["HTTP/2", overHttp2],
];

/** Serves the page without the rest of the service: no handle has a code. */
function startPage() {
  const [page] = verifyPages({
    links: {
      purposeOf: claimedPurpose,
      codeOf: async () => undefined,
      verify: async () => false,
      reportLogin: async () => {},
    },
    origin: "http://localhost",
    serviceName: "Countersign",
    defaultLanguage: "en",
    isNumeric: false,
    clock: systemClock,
    onError: (error) => {
      throw error;
    },
  });
  return start({ handler: page!.handler });
}

function serverOf({ origin }: TestApp) {
  return { origin, port: Number(new URL(origin).port) };
}

function pathOf(handle: string): string {
  return `/verify?${new URLSearchParams({ h: handle })}`;
}

function post(handle: string, code?: string, headers: Question["headers"] = {}): Question {
  const fields = new URLSearchParams({ h: handle, ...(code === undefined ? {} : { code }) });
  return { method: "POST", path: "/verify", headers: { ...form, ...headers }, body: String(fields) };
}

/** The code on the page, or "". */
function shownIn({ body }: Answer): string {
  return /name="code" value="([^"]*)"|<p class="code"[^>]*>([^<]*)</.exec(body)?.slice(1).find(Boolean) ?? "";
}

/** The page without the code and without the handle of the request. */
function withoutValues({ status, headers, body }: Answer): unknown {
  const { date: _, "content-length": __, ...rest } = headers;
  const same = body
    .replace(/(name="(?:h|code)" value=")[^"]*/g, "$1")
    .replace(/(<p class="code"[^>]*>)[^<]*/, "$1");
  return { status, headers: { ...rest }, body: same };
}

/** Forged handles: another MAC, another id, another key, one bit changed, and a malformed one. */
function forgeries(handle: string): string[] {
  const parts = handle.split("~");
  const mac = randomBytes(16).toString("base64url");
  const last = handle.at(-1) === "A" ? "Q" : "A";
  return [
    [...parts.slice(0, -1), mac].join("~"),
    [...parts.slice(0, 2), "1574939481964544000", ...parts.slice(3)].join("~"),
    [parts[0], "no-key", ...parts.slice(2)].join("~"),
    handle.slice(0, -1) + last,
    `${parts[0]}~~`,
  ];
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
    expect([end.status, end.body.includes(pageTexts.en.verified.title)]).toEqual([200, true]);
    expect((await admin.getOTPEmail({ userId: "u", otpEmailId })).otpEmail?.isVerified).toBe(true);
  });

  it("changes nothing when a link is opened, however often", async () => {
    for (const { test, handle, code } of [await startEnrolment(), await startLogin()]) {
      const before = await rowsOf(test);
      for (let i = 0; i < 20; i++) {
        expect(shownIn(await send(test, { path: pathOf(handle) }))).toBe(code);
        const head = await send(test, { method: "HEAD", path: pathOf(handle) });
        expect([head.status, head.body]).toEqual([200, ""]);
        const headers = { "sec-purpose": "prefetch;prerender", purpose: "prefetch" };
        await send(test, { path: pathOf(handle), headers });
      }
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
    expect(first.body).toContain(pageTexts.en.verify.failed);
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
    expect(end.body).toContain(pageTexts.en.reported.text);
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

describe("the form", () => {
  it("counts towards the limit of attempts, and is in the audit log", async () => {
    const { test, admin, handle, code, otpEmailId } = await startEnrolment({
      COUNTERSIGN_TRUSTED_PROXIES: "127.0.0.1",
    });
    const headers = { "x-forwarded-for": "203.0.113.7, 198.51.100.9" };
    for (let i = 1; i <= 5; i++) await overHttp1(test, post(handle, wrongCode(code, i), headers));
    const verify = admin.verifyOTPEmail({ userId: "u", otpEmailId, code });
    expect(await outcomeOf(verify)).toBe("ATTEMPTS_EXHAUSTED");
    const events = await test.app.store.db.selectFrom("events").selectAll().execute();
    const failures = events.filter(({ type }) => type === "otp_email.verify_failed");
    expect(failures).toHaveLength(5);
    for (const failure of failures) {
      expect(failure).toMatchObject({ actor: "urn:countersign:mail-reader", client_address: "198.51.100.9" });
    }
  });

  it("loses its client address in the audit log with the user", async () => {
    const { test, admin, handle, code } = await startEnrolment();
    await overHttp1(test, post(handle, wrongCode(code)));
    const addresses = async () => {
      const events = await test.app.store.db.selectFrom("events").selectAll().execute();
      return events
        .filter(({ actor }) => actor === "urn:countersign:mail-reader")
        .map((event) => event.client_address);
    };
    expect(await addresses()).toEqual(["127.0.0.1"]);
    await admin.deleteUser({ userId: "u" });
    expect(await addresses()).toEqual([null]);
  });

  it("verifies once, and answers repeated submissions alike", async () => {
    const { test, handle, code } = await startEnrolment();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => overHttp1(test, post(handle, ` ${code.toLowerCase()} `))),
    );
    expect(new Set(answers.map(({ headers }) => headers.location))).toEqual(
      new Set(["/verify?done=verified"]),
    );
    expect((await eventTypes(test)).filter((type) => type === "otp_email.verified")).toHaveLength(1);
    expect(await eventTypes(test)).not.toContain("otp_email.verify_failed");
    // Repeating the used code is fine; another code is refused, and the page shows none.
    expect((await overHttp1(test, post(handle, wrongCode(code)))).status).toBe(400);
    expect(shownIn(await overHttp1(test, { path: pathOf(handle) }))).toBe("");
  });

  it("of an older mail accepts the newest code, and shows none", async () => {
    const { test, admin, handle, code, otpEmailId } = await startEnrolment();
    test.clock.move(600_000);
    await admin.resendOTPEmailCode({ userId: "u", otpEmailId });
    const [mail] = await test.mails(address, 2);
    const newest = codeIn(mail!);
    expect(newest).not.toBe(code);
    expect(shownIn(await overHttp1(test, { path: pathOf(handle) }))).toBe("");
    expect(shownIn(await overHttp1(test, { path: pathOf(handleIn(mail!.text)) }))).toBe(newest);
    expect((await overHttp1(test, post(handle, code))).status).toBe(400);
    expect((await overHttp1(test, post(handle, newest))).status).toBe(303);
  });

  it("of one authenticator verifies no other", async () => {
    const { test, admin, handle } = await startEnrolment();
    await admin.addOTPEmail({ userId: "u", email: { address: "b@mouse.com" } });
    const [mail] = await test.mails("b@mouse.com");
    expect((await overHttp1(test, post(handle, codeIn(mail!)))).status).toBe(400);
    expect(await eventTypes(test)).not.toContain("otp_email.verified");
  });

  it("asks for digits where codes are digits", async () => {
    const { test, handle, code } = await startEnrolment({ COUNTERSIGN_CODE_ALPHABET: "digits" });
    const page = await overHttp1(test, { path: pathOf(handle) });
    expect(shownIn(page)).toBe(code);
    expect(page.body).toContain('inputmode="numeric"');
  });

  it("must arrive within 10 seconds", async () => {
    const { test } = await startEnrolment();
    const socket = await open(serverOf(test));
    const started = untilReceived(socket, "100 Continue");
    const received = untilClosed(socket);
    let isClosed = false;
    socket.on("close", () => {
      isClosed = true;
    });
    socket.write(
      `POST /verify HTTP/1.1\r\nHost: x\r\nContent-Type: ${form["content-type"]}\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n`,
    );
    await started;
    test.clock.move(9_999);
    socket.write("h=");
    await overHttp1(test, { path: "/healthz" });
    expect(isClosed).toBe(false);
    test.clock.move(1);
    expect(await received).toMatch(/^HTTP\/1\.1 408 /m);
  });

  it("survives clients that leave before the end", async () => {
    const { test, handle } = await startEnrolment();
    const socket = await open(serverOf(test));
    socket.write(
      `POST /verify HTTP/1.1\r\nHost: x\r\nContent-Type: ${form["content-type"]}\r\nContent-Length: 10\r\n\r\nh=`,
    );
    socket.destroy();
    const session = openHttp2(test);
    const stream = session.request({ ":method": "POST", ":path": "/verify", ...form });
    stream.on("error", () => {});
    stream.write("h=");
    await new Promise((resolve) => setTimeout(resolve, 50));
    stream.close(8);
    expect((await overHttp1(test, { path: pathOf(handle) })).status).toBe(200);
  });

  it("answers 503 if the database fails, and logs why without the code", async () => {
    const { test, handle, code } = await startEnrolment();
    await test.app.store[Symbol.asyncDispose]();
    for (const question of [{ path: pathOf(handle) }, post(handle, code)]) {
      const answer = await overHttp1(test, question);
      expect([answer.status, answer.body.includes(pageTexts.en.retry.title)]).toEqual([503, true]);
    }
    // A forged handle doesn't reach the database.
    expect((await overHttp1(test, { path: pathOf(forgeries(handle)[0]!) })).status).toBe(200);
    expect(test.logLines.join("")).toContain("the page of a mail's link failed");
    expect(test.logLines.join("")).not.toContain(code);
    expect(test.logLines.join("")).not.toContain(handle);
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
    const t = pageTexts[language];
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
  expect(page.body).toContain(pageTexts.en.login.button);
  const field = /name="h" value="([^"]*)"/.exec(page.body)?.[1] ?? "";
  expect((await overHttp1(test, post(field))).headers.location).toBe("/verify?done=reported");
  expect(await outcomeOf(client.verifyOTPEmailChallenge(answer))).toBe("CHALLENGE_ENDED");
  expect(await mailsNow(test, address)).toHaveLength(1);
});
