import { timestampMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { DeliveryState } from "../../../gen/countersign/user/v3alpha/otp_email_pb.ts";
import {
  codeIn,
  protocols,
  startTestApp,
  type TestApp,
  type UserClient,
  wrongCode,
} from "../../support/app.ts";
import { outcomeOf, refusalOf } from "../../support/errors.ts";
import { startRelay } from "../../support/mail/relay.ts";
import { addPending, addUser, addVerified, eventTypes } from "../../support/users.ts";

const minute = 60_000;
const address = "mini@mouse.com";
const returnCode = { case: "returnCode", value: {} } as const;

/** Spends all attempts at the next code, and returns it. */
async function failWithNext(client: UserClient, name: { userId: string; otpEmailId: string }) {
  const { verificationCode = "" } = await client.resendOTPEmailCode({ ...name, verification: returnCode });
  for (let i = 1; i <= 5; i++) {
    const call = client.verifyOTPEmail({ ...name, code: wrongCode(verificationCode, i) });
    expect(await outcomeOf(call)).toBe("CODE_INVALID");
  }
  return verificationCode;
}

async function startWithUser(environment: Record<string, string> = {}): Promise<TestApp> {
  const test = await startTestApp({ environment });
  await addUser(await test.admin());
  return test;
}

describe.each(protocols)("over %s", (protocol) => {
  it("an authenticator is got, listed, sent its code again, unlocked and removed", async () => {
    const test = await startWithUser();
    const client = await test.admin(protocol);
    const { otpEmailId } = await client.addOTPEmail({ userId: "u", email: { address } });
    const name = { userId: "u", otpEmailId };
    await test.mails(address);
    expect((await client.getOTPEmail(name)).otpEmail).toMatchObject({
      otpEmailId,
      address,
      isVerified: false,
    });
    expect((await client.listOTPEmails({ userId: "u" })).otpEmails.map((e) => e.otpEmailId)).toEqual([
      otpEmailId,
    ]);
    test.clock.move(minute);
    const resent = await client.resendOTPEmailCode(name);
    expect(resent).toMatchObject({ details: { resourceOwner: "o" } });
    expect(resent.verificationCode).toBeUndefined();
    const [second, first] = await test.mails(address, 2);
    expect(codeIn(second!)).toBe(codeIn(first!));
    expect(second!.text).toContain(`${test.origin}/verify?h=enrolment~dev~${otpEmailId}~`);

    for (let i = 1; i <= 5; i++) {
      const call = client.verifyOTPEmail({ ...name, code: wrongCode(codeIn(first!), i) });
      expect(await outcomeOf(call)).toBe("CODE_INVALID");
    }
    const { verificationCode: next = "" } = await client.resendOTPEmailCode({
      ...name,
      verification: returnCode,
    });
    for (let i = 1; i <= 5; i++) {
      const call = client.verifyOTPEmail({ ...name, code: wrongCode(next, i) });
      expect(await outcomeOf(call)).toBe("CODE_INVALID");
    }
    expect(await outcomeOf(client.resendOTPEmailCode(name))).toBe("ATTEMPTS_EXHAUSTED");
    await client.unlockOTPEmail({ ...name, reason: "ticket 4711" });
    const { verificationCode = "" } = await client.resendOTPEmailCode({ ...name, verification: returnCode });
    await client.verifyOTPEmail({ ...name, code: verificationCode });
    expect(await outcomeOf(client.resendOTPEmailCode(name))).toBe("OTP_EMAIL_ALREADY_VERIFIED");

    const removed = await client.removeOTPEmail({ ...name, reason: "a new address" });
    expect(removed.details?.resourceOwner).toBe("o");
    expect((await client.listOTPEmails({ userId: "u" })).otpEmails).toEqual([]);
    for (const call of [
      () => client.getOTPEmail(name),
      () => client.removeOTPEmail(name),
      () => client.unlockOTPEmail(name),
      () => client.resendOTPEmailCode(name),
    ]) {
      expect(await refusalOf(call())).toMatchObject({ code: "NotFound", reason: "OTP_EMAIL_NOT_FOUND" });
    }
    const all = await test.app.store.db.selectFrom("events").selectAll().orderBy("position").execute();
    const events = all.filter(({ type }) => !type.startsWith("mail."));
    expect(events.slice(-2)).toMatchObject([
      { type: "otp_email.verified", actor: "admin", client_address: "127.0.0.1", reason: null },
      { type: "otp_email.removed", actor: "admin", client_address: "127.0.0.1", reason: "a new address" },
    ]);
    expect(BigInt(all.length)).toBe(removed.details?.sequence);
    expect(JSON.stringify(all)).not.toContain("mini");
  });

  it("the published path removes too", async () => {
    if (protocol === "REST") return;
    const test = await startWithUser();
    const otpEmailId = await addVerified(await test.admin());
    const path = `${test.origin}/zitadel.user.v3alpha.UserService/RemoveOTPEmailAuthenticator`;
    const token = await test.token("admin", { permissions: ["user.write"] });
    const reply = await fetch(path, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ userId: "u", otpEmailId }),
    });
    expect(reply.status).toBe(200);
    expect(await eventTypes(test)).toContain("otp_email.removed");
  });
});

describe("what is told of an authenticator", () => {
  it("are its times, the attempts that are left, and its lock", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    const start = test.clock.now();
    const { otpEmailId, code } = await addPending(client);
    const name = { userId: "u", otpEmailId };
    const told = async () => (await client.getOTPEmail(name)).otpEmail!;
    expect(await told()).toMatchObject({ failedAttemptsLeft: 5 });
    expect(timestampMs((await told()).createTime!)).toBe(start);
    for (let i = 1; i <= 4; i++)
      await outcomeOf(client.verifyOTPEmail({ ...name, code: wrongCode(code, i) }));
    expect(await told()).toMatchObject({ failedAttemptsLeft: 1, isVerified: false });
    expect((await told()).lockedUntil).toBeUndefined();
    await outcomeOf(client.verifyOTPEmail({ ...name, code: wrongCode(code, 5) }));
    // The code is dead. The next one has five attempts, and then the authenticator has had ten.
    expect(await told()).toMatchObject({ failedAttemptsLeft: 5 });
    await failWithNext(client, name);
    expect(await told()).toMatchObject({ failedAttemptsLeft: 0 });
    expect(timestampMs((await told()).lockedUntil!)).toBe(start + 5 * minute);

    test.clock.move(5 * minute);
    // While ten stand in the hour, one more locks it again.
    expect(await told()).toMatchObject({ failedAttemptsLeft: 1 });
    expect((await told()).lockedUntil).toBeUndefined();
    expect((await told()).verifyTime).toBeUndefined();
    const { verificationCode = "" } = await client.resendOTPEmailCode({ ...name, verification: returnCode });
    test.clock.move(minute);
    await client.verifyOTPEmail({ ...name, code: verificationCode });
    const verified = await told();
    expect(verified).toMatchObject({ isVerified: true, failedAttemptsLeft: 5 });
    expect(timestampMs(verified.verifyTime!)).toBe(start + 6 * minute);
    expect(timestampMs(verified.lastUseTime!)).toBe(start + 6 * minute);
    expect(verified.lastMail).toBeUndefined();
    const { user } = await client.getUserByID({ userId: "u" });
    expect(user?.authenticators?.otpEmail).toEqual([verified]);
  });

  it("has no last use if the address was only vouched for", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    const { otpEmail } = await client.getOTPEmail({ userId: "u", otpEmailId: await addVerified(client) });
    expect(otpEmail?.verifyTime).toBeDefined();
    expect(otpEmail?.lastUseTime).toBeUndefined();
  });

  it("is what came of its last mail, also without the row of the outbox", async () => {
    let answer: Error | undefined = Object.assign(new Error("later"), { responseCode: 451 });
    const relay = await startRelay({
      onMail: () => {
        if (answer) throw answer;
      },
    });
    const test = await startWithUser({ COUNTERSIGN_SMTP_URL: `smtp://127.0.0.1:${relay.port}` });
    const client = await test.admin();
    const { otpEmailId } = await client.addOTPEmail({ userId: "u", email: { address } });
    const told = async () => (await client.getOTPEmail({ userId: "u", otpEmailId })).otpEmail?.lastMail;
    const start = test.clock.now();
    await expect
      .poll(told)
      .toMatchObject({ state: DeliveryState.DEFERRED, reason: expect.stringContaining("451") });
    expect((await told())?.settleTime).toBeUndefined();

    answer = undefined;
    test.clock.move(3_000);
    await expect.poll(told).toMatchObject({ state: DeliveryState.SENT, reason: "" });
    const sent = await told();
    expect(timestampMs(sent!.createTime!)).toBe(start);
    expect(timestampMs(sent!.settleTime!)).toBe(start + 3_000);
    await test.app.store.write((trx) => trx.deleteFrom("outbox").execute());
    expect(await told()).toEqual(sent);
    test.clock.move(minute);

    answer = Object.assign(new Error("no such user"), { responseCode: 550 });
    await client.resendOTPEmailCode({ userId: "u", otpEmailId });
    await expect
      .poll(told)
      .toMatchObject({ state: DeliveryState.FAILED, reason: expect.stringContaining("550") });
  });

  it("is what came of its last mail, also while an older one still waits", async () => {
    let answer: Error | undefined = Object.assign(new Error("later"), { responseCode: 451 });
    const relay = await startRelay({
      onMail: () => {
        if (answer) throw answer;
      },
    });
    const test = await startWithUser({ COUNTERSIGN_SMTP_URL: `smtp://127.0.0.1:${relay.port}` });
    const client = await test.admin();
    const name = { userId: "u", otpEmailId: await addVerified(client) };
    const told = async () => (await client.getOTPEmail(name)).otpEmail?.lastMail?.state;
    // It is told of the other address, which takes long.
    await addPending(client, "u", "daisy@duck.com");
    await expect.poll(told).toBe(DeliveryState.DEFERRED);

    answer = undefined;
    const login = test.challengeClient(await test.token("login", { permissions: ["otp.challenge"] }));
    await login.createOTPEmailChallenge({ ...name, audience: "https://app.example.com" });
    await expect.poll(() => relay.received.length).toBe(1);
    await expect.poll(told).toBe(DeliveryState.SENT);
  });

  it("is masked for a caller that may only challenge, and for nobody else", async () => {
    const test = await startWithUser();
    const otpEmailId = await addVerified(await test.admin());
    const seenBy = async (token: string) => {
      const client = test.client(token);
      const { otpEmail } = await client.getOTPEmail({ userId: "u", otpEmailId });
      const { otpEmails } = await client.listOTPEmails({ userId: "u" });
      expect(otpEmails).toEqual([otpEmail]);
      return otpEmail?.address;
    };
    const org = "o";
    expect(await seenBy(await test.token("app", { org, permissions: ["otp.challenge"] }))).toBe(
      "m***@mouse.com",
    );
    for (const permission of ["user.read", "user.write"] as const) {
      expect(await seenBy(await test.token("app", { org, permissions: [permission] }))).toBe(address);
    }
    expect(await seenBy(await test.token("u"))).toBe(address);
    expect(await seenBy(await test.token("u", { org, permissions: ["otp.challenge"] }))).toBe(address);
  });
});

describe("ResendOTPEmailCode", () => {
  it("T05 brings no new attempts, neither with the same code nor with a fresh one", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    const { otpEmailId, code } = await addPending(client);
    const name = { userId: "u", otpEmailId };
    const resend = async () =>
      (await client.resendOTPEmailCode({ ...name, verification: returnCode })).verificationCode ?? "";
    for (let i = 1; i <= 4; i++) {
      expect(await outcomeOf(client.verifyOTPEmail({ ...name, code: wrongCode(code, i) }))).toBe(
        "CODE_INVALID",
      );
      expect(await resend()).toBe(code);
    }
    test.clock.move(10 * minute);
    const fresh = await resend();
    expect(fresh).not.toBe(code);
    expect(await outcomeOf(client.verifyOTPEmail({ ...name, code }))).toBe("CODE_INVALID");
    for (let i = 1; i <= 4; i++)
      await outcomeOf(client.verifyOTPEmail({ ...name, code: wrongCode(fresh, i) }));
    expect(await outcomeOf(client.verifyOTPEmail({ ...name, code: wrongCode(await resend()) }))).toBe(
      "CODE_INVALID",
    );
    const locked = { code: "ResourceExhausted", reason: "ATTEMPTS_EXHAUSTED", retryAfter: 300 };
    expect(await refusalOf(client.verifyOTPEmail({ ...name, code: fresh }))).toMatchObject(locked);
    expect(await refusalOf(client.resendOTPEmailCode(name))).toMatchObject(locked);
  });

  it("T48 mails a code for the user itself, and neither returns it nor links it to any host", async () => {
    const test = await startWithUser();
    const { otpEmailId } = await addPending(await test.admin());
    const self = test.client(await test.token("u"));
    const name = { userId: "u", otpEmailId };
    const refusals = [
      { ...name, verification: returnCode },
      {
        ...name,
        verification: { case: "sendCode", value: { urlTemplate: "https://evil.example/{{.Code}}" } } as const,
      },
    ];
    for (const request of refusals) {
      expect(await outcomeOf(self.resendOTPEmailCode(request))).toBe("PERMISSION_MISSING");
    }
    expect((await self.resendOTPEmailCode(name)).verificationCode).toBeUndefined();
    await test.mails(address);
  });

  it("links to where send_code says", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    const { otpEmailId, code } = await addPending(client);
    const value = { urlTemplate: "https://app.example.com/{{.Code}}" };
    await client.resendOTPEmailCode({ userId: "u", otpEmailId, verification: { case: "sendCode", value } });
    const [mail] = await test.mails(address);
    expect(mail!.text).toContain(`https://app.example.com/${code}`);
    const http = { urlTemplate: "http://app.example.com/" };
    const refused = client.resendOTPEmailCode({
      userId: "u",
      otpEmailId,
      verification: { case: "sendCode", value: http },
    });
    expect(await refusalOf(refused)).toMatchObject({
      reason: "URL_TEMPLATE_INVALID",
      fields: ["send_code.url_template"],
    });
  });
});

describe("UnlockOTPEmail", () => {
  it("ends the lock for good, and the code that was guessed at with it", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    const { otpEmailId, code } = await addPending(client);
    const name = { userId: "u", otpEmailId };
    for (let i = 1; i <= 5; i++)
      await outcomeOf(client.verifyOTPEmail({ ...name, code: wrongCode(code, i) }));
    const guessed = await failWithNext(client, name);
    await client.unlockOTPEmail(name);
    expect(await outcomeOf(client.verifyOTPEmail({ ...name, code: guessed }))).toBe("CODE_EXPIRED");
    await failWithNext(client, name);
    const fresh = await failWithNext(client, name);
    // The next lock is as short as the first.
    expect(await refusalOf(client.verifyOTPEmail({ ...name, code: fresh }))).toMatchObject({
      retryAfter: 300,
    });
  });

  it("leaves a code alone that nobody guessed at", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    const { otpEmailId, code } = await addPending(client);
    const name = { userId: "u", otpEmailId };
    expect(await refusalOf(client.unlockOTPEmail(name))).toMatchObject({
      code: "FailedPrecondition",
      reason: "OTP_EMAIL_NOT_LOCKED",
    });
    await client.verifyOTPEmail({ ...name, code });
  });

  it("happens once of 50 times at once", async () => {
    const test = await startWithUser();
    const client = await test.admin("gRPC");
    const { otpEmailId, code } = await addPending(client);
    const name = { userId: "u", otpEmailId };
    for (let i = 1; i <= 5; i++)
      await outcomeOf(client.verifyOTPEmail({ ...name, code: wrongCode(code, i) }));
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () => outcomeOf(client.unlockOTPEmail(name))),
    );
    expect(outcomes.filter((o) => o === "OK")).toHaveLength(1);
    expect((await eventTypes(test)).filter((type) => type === "otp_email.unlocked")).toHaveLength(1);
  });
});

describe("RemoveOTPEmail", () => {
  it("happens once of 50 times at once", async () => {
    const test = await startWithUser();
    const client = await test.admin("gRPC");
    const name = { userId: "u", otpEmailId: await addVerified(client) };
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () => outcomeOf(client.removeOTPEmail(name))),
    );
    expect(outcomes.filter((o) => o === "OK")).toHaveLength(1);
    expect(outcomes.filter((o) => o === "OTP_EMAIL_NOT_FOUND")).toHaveLength(49);
    expect((await eventTypes(test)).filter((type) => type === "otp_email.removed")).toHaveLength(1);
  });

  it("while it is verified leaves nothing behind, whoever comes first", async () => {
    const test = await startWithUser();
    const client = await test.admin("gRPC");
    for (let round = 0; round < 20; round++) {
      // Each its own address: an attempt that a removal overtakes is kept as a wrong one of its address.
      const { otpEmailId, code } = await addPending(client, "u", `round-${round}@x.io`);
      const verify = outcomeOf(client.verifyOTPEmail({ userId: "u", otpEmailId, code }));
      const remove = outcomeOf(client.removeOTPEmail({ userId: "u", otpEmailId }));
      const [verified, removed] = await Promise.all(
        round % 2 ? [verify, remove] : [verify, remove].reverse(),
      );
      expect([verified, removed]).toContain("OK");
      expect((await client.listOTPEmails({ userId: "u" })).otpEmails).toEqual([]);
    }
  });

  it("takes the mails that wait with it, and the code of one that was sent is dead", async () => {
    const relay = await startRelay();
    const test = await startWithUser({ COUNTERSIGN_SMTP_URL: `smtp://127.0.0.1:${relay.port}` });
    await relay.stop();
    const client = await test.admin();
    const { otpEmailId } = await client.addOTPEmail({ userId: "u", email: { address } });
    const { verificationCode: code = "" } = await client.resendOTPEmailCode({
      userId: "u",
      otpEmailId,
      verification: returnCode,
    });
    await client.removeOTPEmail({ userId: "u", otpEmailId });
    expect(await test.app.store.db.selectFrom("outbox").selectAll().execute()).toEqual([]);
    expect(await outcomeOf(client.verifyOTPEmail({ userId: "u", otpEmailId, code }))).toBe(
      "OTP_EMAIL_NOT_FOUND",
    );
    const again = await addPending(client);
    expect(again.otpEmailId).not.toBe(otpEmailId);
    expect(await outcomeOf(client.verifyOTPEmail({ userId: "u", otpEmailId: again.otpEmailId, code }))).toBe(
      "CODE_INVALID",
    );
  });

  it.each([
    ["of another user", "v"],
    ["that is no id", "u"],
  ])("knows no authenticator %s", async (_name, userId) => {
    const test = await startWithUser();
    const client = await test.admin();
    await addUser(client, "v");
    const otpEmailId = await addVerified(client);
    const name = userId === "v" ? { userId, otpEmailId } : { userId, otpEmailId: `0${otpEmailId}` };
    expect(await outcomeOf(client.removeOTPEmail(name))).toBe("OTP_EMAIL_NOT_FOUND");
    expect(await outcomeOf(client.getOTPEmail(name))).toBe("OTP_EMAIL_NOT_FOUND");
    expect((await client.listOTPEmails({ userId: "u" })).otpEmails).toHaveLength(1);
  });
});

describe("at most 10 authenticators a user", () => {
  it("are added by 50 calls at once", async () => {
    const test = await startWithUser();
    const client = await test.admin("gRPC");
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, i) => outcomeOf(addPending(client, "u", `a${i}@x.io`))),
    );
    expect(outcomes.filter((o) => o === "OK")).toHaveLength(10);
    expect(outcomes.filter((o) => o === "OTP_EMAIL_LIMIT_REACHED")).toHaveLength(40);
    expect((await client.listOTPEmails({ userId: "u" })).otpEmails).toHaveLength(10);
  });

  it("are told of before the lock of an address that is added again: to wait would not help", async () => {
    const test = await startWithUser({ COUNTERSIGN_OTP_EMAILS_MAX: "1" });
    const client = await test.admin();
    const { otpEmailId } = await addPending(client);
    await failWithNext(client, { userId: "u", otpEmailId });
    await failWithNext(client, { userId: "u", otpEmailId });
    await client.removeOTPEmail({ userId: "u", otpEmailId });
    expect(await outcomeOf(addPending(client))).toBe("ATTEMPTS_EXHAUSTED");
    await addPending(client, "u", "daisy@duck.com");
    expect(await outcomeOf(addPending(client))).toBe("OTP_EMAIL_LIMIT_REACHED");
  });

  it("or as many as the operator says; those that are there can still be asked for", async () => {
    const test = await startWithUser({ COUNTERSIGN_OTP_EMAILS_MAX: "2" });
    const client = await test.admin();
    const first = await addPending(client, "u", "a@x.io");
    await addPending(client, "u", "b@x.io");
    const refusal = await refusalOf(addPending(client, "u", "c@x.io"));
    expect(refusal).toMatchObject({ code: "FailedPrecondition", reason: "OTP_EMAIL_LIMIT_REACHED" });
    expect(refusal.retryAfter).toBeUndefined();
    expect(await addPending(client, "u", "a@x.io")).toEqual(first);
    await client.removeOTPEmail({ userId: "u", otpEmailId: first.otpEmailId });
    await addPending(client, "u", "c@x.io");
    await addUser(client, "v");
    await addPending(client, "v", "a@x.io");
  });
});

describe("ListOTPEmails", () => {
  it("pages in the order of adding, and what is added or removed meanwhile repeats and hides nothing", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push(await addVerified(client, "u", `a${i}@x.io`));
    const page = async (pageToken: string) => client.listOTPEmails({ userId: "u", pageSize: 2, pageToken });
    const first = await page("");
    await client.removeOTPEmail({ userId: "u", otpEmailId: ids[1]! });
    const late = await addVerified(client, "u", "late@x.io");
    const second = await page(first.nextPageToken);
    const third = await page(second.nextPageToken);
    const listed = [first, second, third].flatMap((reply) => reply.otpEmails.map((e) => e.otpEmailId));
    expect(listed).toEqual([...ids, late]);
    expect(third.nextPageToken).toBe("");
  });

  it.each([
    ["is none", { userId: "u", pageToken: "x" }, "page_token"],
    ["is of another user", { userId: "v" }, "page_token"],
    ["is cut off", { userId: "u" }, "page_token"],
    ["comes with a negative page_size", { userId: "u", pageSize: -1 }, "page_size"],
  ])("refuses a token that %s", async (name, request, field) => {
    const test = await startWithUser();
    const client = await test.admin();
    await addUser(client, "v");
    for (const to of ["a@x.io", "b@x.io"]) await addVerified(client, "u", to);
    const { nextPageToken } = await client.listOTPEmails({ userId: "u", pageSize: 1 });
    const pageToken = name === "is cut off" ? nextPageToken.slice(0, -1) : nextPageToken;
    const refusal = await refusalOf(client.listOTPEmails({ pageToken, ...request }));
    expect(refusal).toMatchObject({ code: "InvalidArgument", fields: [field] });
  });
});
