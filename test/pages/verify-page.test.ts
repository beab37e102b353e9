import { createHash, createHmac, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { languages } from "../../src/texts/languages.ts";
import { texts } from "../../src/texts/texts.ts";
import { codeIn, startTestApp, type TestApp, wrongCode } from "../support/app.ts";
import { outcomeOf } from "../support/errors.ts";
import {
  type Answer,
  open,
  openHttp2,
  type Question,
  sendHttp2,
  untilClosed,
} from "../support/http/requests.ts";
import { addUser, addVerified, eventTypes, mailsNow } from "../support/users.ts";

const address = "mini@mouse.com";
const form = { "content-type": "application/x-www-form-urlencoded" };

/** One request to the service, over either version of HTTP. */
type Send = (test: TestApp, question: Question) => Promise<Answer>;

const overHttp1: Send = async (test, { method = "GET", path = "/", headers = {}, body }) => {
  const reply = await fetch(test.origin + path, {
    method,
    headers,
    redirect: "manual",
    ...(body === undefined ? {} : { body }),
  });
  return { status: reply.status, headers: Object.fromEntries(reply.headers), body: await reply.text() };
};

const overHttp2: Send = async (test, { method = "GET", path = "/", headers = {}, body }) => {
  const session = openHttp2(test);
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

function serverOf({ origin }: TestApp) {
  return { origin, port: Number(new URL(origin).port) };
}

function handleIn(text: string): string {
  return /\/verify\?h=([\w.~-]+)$/m.exec(text)?.[1] ?? "";
}

function pathOf(handle: string): string {
  return `/verify?${new URLSearchParams({ h: handle })}`;
}

function post(handle: string, code?: string, headers: Question["headers"] = {}): Question {
  const fields = new URLSearchParams({ h: handle, ...(code === undefined ? {} : { code }) });
  return { method: "POST", path: "/verify", headers: { ...form, ...headers }, body: String(fields) };
}

/** The code that the page shows, or "" if it shows none. */
function shownIn({ body }: Answer): string {
  return /name="code" value="([^"]*)"|<p class="code"[^>]*>([^<]*)</.exec(body)?.slice(1).find(Boolean) ?? "";
}

/** The page without the code, and without the handle that the request itself named. */
function withoutValues({ status, headers, body }: Answer): unknown {
  const { date: _, "content-length": __, ...rest } = headers;
  const same = body
    .replace(/(name="(?:h|code)" value=")[^"]*/g, "$1")
    .replace(/(<p class="code"[^>]*>)[^<]*/, "$1");
  return { status, headers: { ...rest }, body: same };
}

async function enrolment(environment: Record<string, string> = {}) {
  const test = await startTestApp({ environment });
  const admin = await test.admin();
  await addUser(admin);
  const { otpEmailId } = await admin.addOTPEmail({ userId: "u", email: { address } });
  const [mail] = await test.mails(address);
  const code = codeIn(mail!);
  return { test, admin, otpEmailId, mail: mail!, code, handle: handleIn(mail!.text) };
}

async function login() {
  const test = await startTestApp();
  const admin = await test.admin();
  await addUser(admin);
  const otpEmailId = await addVerified(admin);
  const token = await test.token("login", { org: "o", permissions: ["otp.challenge"] });
  const client = test.challengeClient(token);
  const audience = "https://app.example.com";
  const { challengeId } = await client.createOTPEmailChallenge({ userId: "u", otpEmailId, audience });
  const [mail] = await test.mails(address);
  const code = /^\d{6}$/m.exec(mail!.text)?.[0] ?? "";
  const request = { userId: "u", otpEmailId, challengeId, code };
  return { test, admin, otpEmailId, challengeId, client, code, request, handle: handleIn(mail!.text) };
}

/** Handles that nobody made here: a true one with another mac, of another id, and no handle at all. */
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

async function columnsOf(test: TestApp) {
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
  it("the link of a mail shows the code in the form, and its button verifies the address", async () => {
    const { test, admin, otpEmailId, code, handle } = await enrolment();
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

  it("to look at a link changes nothing, as often as that may be", async () => {
    for (const { test, handle, code } of [await enrolment(), await login()]) {
      const before = await columnsOf(test);
      for (let i = 0; i < 20; i++) {
        expect(shownIn(await send(test, { path: pathOf(handle) }))).toBe(code);
        const head = await send(test, { method: "HEAD", path: pathOf(handle) });
        expect([head.status, head.body]).toEqual([200, ""]);
        const headers = { "sec-purpose": "prefetch;prerender", purpose: "prefetch" };
        await send(test, { path: pathOf(handle), headers });
      }
      expect(await columnsOf(test)).toEqual(before);
    }
  });

  it("HEAD has the headers of GET", async () => {
    const { test, handle } = await enrolment();
    const get = await send(test, { path: pathOf(handle) });
    const head = await send(test, { method: "HEAD", path: pathOf(handle) });
    const { date: _, connection: __, "keep-alive": ___, ...expected } = get.headers;
    expect(head.headers).toMatchObject({ ...expected });
    expect(head.headers["content-length"]).toBe(String(Buffer.byteLength(get.body)));
  });

  it("T17 shows the same page for a dead, an unknown and a forged handle", async () => {
    const { test, admin, handle, otpEmailId, code } = await enrolment();
    const live = withoutValues(await send(test, { path: pathOf(handle) }));
    const seen = async (...handles: string[]) => {
      for (const text of handles) {
        const page = await send(test, { path: pathOf(text) });
        expect(shownIn(page), text).toBe("");
        expect(withoutValues(page), text).toEqual(live);
      }
    };
    await seen(...forgeries(handle));
    await seen(
      "",
      '"><script>alert(1)</script>',
      "é".repeat(300),
      "x".repeat(201).replace(/^/, "enrolment~"),
    );
    await admin.lockUser({ userId: "u" });
    await seen(handle);
    await admin.unlockUser({ userId: "u" });
    expect(shownIn(await send(test, { path: pathOf(handle) }))).toBe(code);
    test.clock.move(600_000);
    await seen(handle);
    await admin.removeOTPEmail({ userId: "u", otpEmailId });
    await seen(handle);
    await admin.deleteUser({ userId: "u" });
    await seen(handle);
  });

  it("T17 shows the same page of a login for a dead, an unknown and a forged handle", async () => {
    const { test, admin, handle, client, request } = await login();
    const live = withoutValues(await send(test, { path: pathOf(handle) }));
    const seen = async (...handles: string[]) => {
      for (const text of handles) {
        const page = await send(test, { path: pathOf(text) });
        expect(shownIn(page), text).toBe("");
        expect(withoutValues(page), text).toEqual(live);
      }
    };
    await seen(...forgeries(handle));
    await client.verifyOTPEmailChallenge(request);
    await seen(handle);
    await admin.deleteUser({ userId: "u" });
    await seen(handle);
  });

  it("T17 answers the same to every code that is not accepted, whatever the reason", async () => {
    const { test, admin, handle, code, otpEmailId } = await enrolment();
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

  it("a form with a cross-site sender is refused, and changes nothing", async () => {
    const { test, handle, code } = await enrolment();
    const before = await columnsOf(test);
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
    expect(await columnsOf(test)).toEqual(before);
  });

  it.each<Record<string, string>>([
    {},
    { "sec-fetch-site": "same-origin", origin: "null" },
    { "sec-fetch-site": "none" },
    { origin: "null" },
  ])("a form with %j is taken", async (headers) => {
    const { test, handle, code } = await enrolment();
    expect((await send(test, post(handle, code, headers))).status).toBe(303);
  });

  it("a form from its own origin is taken by browsers that say no more", async () => {
    const { test, handle, code } = await enrolment();
    expect((await send(test, post(handle, code, { origin: test.origin }))).status).toBe(303);
  });

  it("only what a form sends is read, and 4 KiB of it", async () => {
    const { test, handle, code } = await enrolment();
    const before = await columnsOf(test);
    const right = post(handle, code);
    const statusWith = async (more: Partial<Question>) => (await send(test, { ...right, ...more })).status;
    for (const type of ["application/json", "multipart/form-data; boundary=x", "text/plain", "a"]) {
      expect(await statusWith({ headers: { "content-type": type } }), type).toBe(415);
    }
    expect(await statusWith({ headers: { ...form, "content-encoding": "gzip" } })).toBe(415);
    expect(await statusWith({ body: `${right.body}&x=${"x".repeat(4_096)}` })).toBe(413);
    expect(await columnsOf(test)).toEqual(before);
    expect(await statusWith({ headers: { "content-type": `${form["content-type"]}; charset=UTF-8` } })).toBe(
      303,
    );
  });

  it("other methods are refused", async () => {
    const { test, handle } = await enrolment();
    for (const method of ["PUT", "DELETE", "OPTIONS", "PATCH"]) {
      const answer = await send(test, { method, path: pathOf(handle) });
      expect([answer.status, answer.headers.allow]).toEqual([405, "GET, HEAD, POST"]);
      expect(answer.body).toContain("METHOD_NOT_ALLOWED");
    }
  });

  it("every answer of the page is kept by nobody, framed nowhere, and runs nothing", async () => {
    const { test, handle, code } = await enrolment();
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

  it("the link of a login shows its code, and never completes it", async () => {
    const { test, handle, code, client, request } = await login();
    const page = await send(test, { path: pathOf(handle) });
    expect(shownIn(page)).toBe(code);
    expect(page.body).not.toMatch(/<input(?! type="hidden" name="h")/);
    // Even with the code the form only says that it was somebody else.
    expect((await send(test, post(handle, code))).headers.location).toBe("/verify?done=reported");
    expect(await eventTypes(test)).not.toContain("challenge.passed");
    expect(await outcomeOf(client.verifyOTPEmailChallenge(request))).toBe("CHALLENGE_ENDED");
  });

  it("this was not me burns a login, once", async () => {
    const { test, handle, client, request } = await login();
    for (let i = 0; i < 2; i++) {
      const answer = await send(test, post(handle));
      expect([answer.status, answer.headers.location]).toEqual([303, "/verify?done=reported"]);
    }
    const end = await send(test, { path: "/verify?done=reported" });
    expect(end.body).toContain(texts.en.pages.reported.text);
    expect(await outcomeOf(client.verifyOTPEmailChallenge(request))).toBe("CHALLENGE_ENDED");
    const events = await test.app.store.db.selectFrom("events").selectAll().execute();
    const reports = events.filter(({ type }) => type === "challenge.reported");
    expect(reports).toHaveLength(1);
    expect(reports[0]).toMatchObject({
      actor: "urn:countersign:mail-reader",
      client_address: "127.0.0.1",
    });
  });

  it("T24 no Host or forwarded header gets into the page or where it leads to", async () => {
    const { test, handle, code } = await enrolment();
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

describe("a mail", () => {
  it("has no code, no user and no address in its link", async () => {
    const { mail, code, handle } = await enrolment();
    const links = (mail.text + mail.html).match(/https?:\/\/[^\s"<]+/g) ?? [];
    expect(links.length).toBeGreaterThan(0);
    for (const link of links) {
      expect(link).toMatch(/\/verify\?h=enrolment~dev~\d+~[\w-]{22}~[\w-]{22}$/);
      expect(link).not.toContain(code);
      expect(link).not.toMatch(/mini|mouse|user/);
    }
    expect(handle).not.toBe("");
  });

  it("of a login has one link of its own, also where the application has another", async () => {
    const { test, admin } = await login();
    const otpEmailId = await addVerified(admin, "u", "b@mouse.com");
    const token = await test.token("login", { org: "o", permissions: ["otp.challenge"] });
    const delivery = { case: "sendCode", value: { urlTemplate: "https://x.io/{{.Code}}" } } as const;
    const request = { userId: "u", otpEmailId, audience: "https://app.example.com", delivery };
    await test.challengeClient(token).createOTPEmailChallenge(request);
    const [mail] = await test.mails("b@mouse.com");
    const code = /^\d{6}$/m.exec(mail!.text)?.[0];
    expect(mail!.text).toContain(`https://x.io/${code}`);
    const page = await overHttp1(test, { path: pathOf(handleIn(mail!.text)) });
    expect(shownIn(page)).toBe(code);
  });

  it("T24 links to the public URL, whatever Host the request names", async () => {
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
    // Its form comes from the public URL, not from the Host that a proxy names.
    const handle = handleIn(mail!.text);
    const from = (origin: string) => overHttp1(test, post(handle, codeIn(mail!), { origin }));
    expect((await from(test.origin)).status).toBe(403);
    expect((await from("https://otp.example.com")).status).toBe(303);
  });
});

describe("the form", () => {
  it("is under the limits of every attempt, and its attempts are in the trail", async () => {
    const { test, admin, handle, code, otpEmailId } = await enrolment({
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

  it("was sent from an address that is forgotten with the user", async () => {
    const { test, admin, handle, code } = await enrolment();
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

  it("verifies once, and says nothing else to whoever presses the button twice", async () => {
    const { test, handle, code } = await enrolment();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => overHttp1(test, post(handle, ` ${code.toLowerCase()} `))),
    );
    expect(new Set(answers.map(({ headers }) => headers.location))).toEqual(
      new Set(["/verify?done=verified"]),
    );
    expect((await eventTypes(test)).filter((type) => type === "otp_email.verified")).toHaveLength(1);
    expect(await eventTypes(test)).not.toContain("otp_email.verify_failed");
    // Of a code that was used, nothing but itself is taken, and it is shown no more.
    expect((await overHttp1(test, post(handle, wrongCode(code)))).status).toBe(400);
    expect(shownIn(await overHttp1(test, { path: pathOf(handle) }))).toBe("");
  });

  it("of an older mail takes the newest code, and shows none", async () => {
    const { test, admin, handle, code, otpEmailId } = await enrolment();
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
    const { test, admin, handle } = await enrolment();
    await admin.addOTPEmail({ userId: "u", email: { address: "b@mouse.com" } });
    const [mail] = await test.mails("b@mouse.com");
    expect((await overHttp1(test, post(handle, codeIn(mail!)))).status).toBe(400);
    expect(await eventTypes(test)).not.toContain("otp_email.verified");
  });

  it("asks for digits where codes are digits", async () => {
    const { test, handle, code } = await enrolment({ COUNTERSIGN_CODE_ALPHABET: "digits" });
    const page = await overHttp1(test, { path: pathOf(handle) });
    expect(shownIn(page)).toBe(code);
    expect(page.body).toContain('inputmode="numeric"');
  });

  it("that does not arrive is waited for 10 seconds at most", async () => {
    const { test } = await enrolment();
    const socket = await open(serverOf(test));
    const ended = untilClosed(socket);
    socket.write(
      `POST /verify HTTP/1.1\r\nHost: x\r\nContent-Type: ${form["content-type"]}\r\nContent-Length: 10\r\n\r\nh=`,
    );
    expect(await ended).toMatch(/^HTTP\/1\.1 408 /);
  }, 15_000);

  it("whose sender goes away ends nothing", async () => {
    const { test, handle } = await enrolment();
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

  it("says that it is to be tried again where the database fails, and the log has why without the code", async () => {
    const { test, handle, code } = await enrolment();
    await test.app.store[Symbol.asyncDispose]();
    for (const question of [{ path: pathOf(handle) }, post(handle, code)]) {
      const answer = await overHttp1(test, question);
      expect([answer.status, answer.body.includes(texts.en.pages.retry.title)]).toEqual([503, true]);
    }
    // Whoever forges a handle does not even ask the database.
    expect((await overHttp1(test, { path: pathOf(forgeries(handle)[0]!) })).status).toBe(200);
    expect(test.logLines.join("")).toContain("the page of a mail's link failed");
    expect(test.logLines.join("")).not.toContain(code);
    expect(test.logLines.join("")).not.toContain(handle);
  });
});

describe("the page speaks", () => {
  it("the language of the request, and the default otherwise, whatever the user prefers", async () => {
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

  it.each(languages)("%s", async (language) => {
    const test = await startTestApp();
    const t = texts[language].pages;
    const headers = { "accept-language": language };
    const get = async (path: string) => (await overHttp1(test, { path, headers })).body;
    const failed = await overHttp1(test, post("", "x", headers));
    expect(failed.headers["content-language"]).toBe(language);
    const { failed: failure, ...first } = t.verify;
    for (const text of Object.values(first)) expect(await get("/verify")).toContain(text);
    expect(failed.body).toContain(failure);
    for (const text of Object.values(t.login)) expect(await get("/verify?h=login~x")).toContain(text);
    for (const text of Object.values(t.verified)) expect(await get("/verify?done=verified")).toContain(text);
    for (const text of Object.values(t.reported)) expect(await get("/verify?done=reported")).toContain(text);
  });

  it("in the name of the service, which is text", async () => {
    const test = await startTestApp({
      environment: { COUNTERSIGN_MAIL_FROM: "Tom & Jerry's <codes@mouse.com>" },
    });
    const { body } = await overHttp1(test, { path: "/verify" });
    expect(body).toContain("<bdi>Tom &#38; Jerry&#39;s</bdi>");
  });
});

it("the links of older mails still say that it was somebody else, and nothing more", async () => {
  const { test, client, request, challengeId } = await login();
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
  expect(await outcomeOf(client.verifyOTPEmailChallenge(request))).toBe("CHALLENGE_ENDED");
  expect(await mailsNow(test, address)).toHaveLength(1);
});
