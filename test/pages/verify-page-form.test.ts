import { describe, expect, it } from "vitest";
import { texts } from "../../src/texts/texts.ts";
import { codeIn, type TestApp, wrongCode } from "../support/app.ts";
import { outcomeOf } from "../support/errors.ts";
import { open, openHttp2, untilClosed, untilReceived } from "../support/http/requests.ts";
import { address, handleIn, startEnrolment } from "../support/pages/mail-links.ts";
import { forgeries, form, overHttp1, pathOf, post, shownIn } from "../support/pages/verify-page.ts";
import { eventTypes } from "../support/users.ts";

function serverOf({ origin }: TestApp) {
  return { origin, port: Number(new URL(origin).port) };
}

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
      expect([answer.status, answer.body.includes(texts.en.pages.retry.title)]).toEqual([503, true]);
    }
    // A forged handle doesn't reach the database.
    expect((await overHttp1(test, { path: pathOf(forgeries(handle)[0]!) })).status).toBe(200);
    expect(test.logLines.join("")).toContain("the page of a mail's link failed");
    expect(test.logLines.join("")).not.toContain(code);
    expect(test.logLines.join("")).not.toContain(handle);
  });
});
