import { timestampMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { DeliveryState } from "../../../gen/countersign/user/v3alpha/otp_email_pb.ts";
import {
  codeIn,
  protocols,
  shareTestApp,
  startTestApp,
  type TestApp,
  type UserClient,
  wrongCode,
} from "../../support/app.ts";
import { outcomeOf, refusalOf } from "../../support/errors.ts";
import { refusal as smtpRefusal, startRelay } from "../../support/mail/relay.ts";
import { addPending, addUser, addVerified, eventTypes, newUser } from "../../support/users.ts";

const minute = 60_000;
const address = "mini@mouse.com";
const returnCode = { case: "returnCode", value: {} } as const;

/** Resends the code, uses up its attempts, and returns it. */
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

/** Starts a relay that defers all mails, until `answerWith` is called. */
async function startFailingRelay() {
  let answer: Error | undefined = smtpRefusal(451, "later");
  const relay = await startRelay({
    onMail: () => {
      if (answer) throw answer;
    },
  });
  const answerWith = (error: Error | undefined) => {
    answer = error;
  };
  return { relay, answerWith };
}

const app = shareTestApp();

describe.each(protocols)("over %s", (protocol) => {
  it("an authenticator can be read, resent, unlocked and removed", async () => {
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

  it("the published path removes an authenticator", async () => {
    if (protocol === "REST") return;
    const test = app();
    const { userId } = await newUser(test);
    const otpEmailId = await addVerified(await test.admin(), userId);
    const path = `${test.origin}/zitadel.user.v3alpha.UserService/RemoveOTPEmailAuthenticator`;
    const token = await test.token("admin", { permissions: ["user.write"] });
    const reply = await fetch(path, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ userId, otpEmailId }),
    });
    expect(reply.status).toBe(200);
    expect(await eventTypes(test, userId)).toContain("otp_email.removed");
  });
});

describe("an authenticator", () => {
  it("shows its times, the attempts that are left, and its lock", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    const start = test.clock.now();
    const { otpEmailId, code } = await addPending(client);
    const name = { userId: "u", otpEmailId };
    const get = async () => (await client.getOTPEmail(name)).otpEmail!;
    expect(await get()).toMatchObject({ failedAttemptsLeft: 5 });
    expect(timestampMs((await get()).createTime!)).toBe(start);
    for (let i = 1; i <= 4; i++)
      await outcomeOf(client.verifyOTPEmail({ ...name, code: wrongCode(code, i) }));
    expect(await get()).toMatchObject({ failedAttemptsLeft: 1, isVerified: false });
    expect((await get()).lockedUntil).toBeUndefined();
    await outcomeOf(client.verifyOTPEmail({ ...name, code: wrongCode(code, 5) }));
    // The code is invalid now. The next one has five attempts, and then the authenticator has used up its ten.
    expect(await get()).toMatchObject({ failedAttemptsLeft: 5 });
    await failWithNext(client, name);
    expect(await get()).toMatchObject({ failedAttemptsLeft: 0 });
    expect(timestampMs((await get()).lockedUntil!)).toBe(start + 5 * minute);

    test.clock.move(5 * minute);
    // While there were ten in the last hour, another one locks it again.
    expect(await get()).toMatchObject({ failedAttemptsLeft: 1 });
    expect((await get()).lockedUntil).toBeUndefined();
    expect((await get()).verifyTime).toBeUndefined();
    const { verificationCode = "" } = await client.resendOTPEmailCode({ ...name, verification: returnCode });
    test.clock.move(minute);
    await client.verifyOTPEmail({ ...name, code: verificationCode });
    const verified = await get();
    expect(verified).toMatchObject({ isVerified: true, failedAttemptsLeft: 5 });
    expect(timestampMs(verified.verifyTime!)).toBe(start + 6 * minute);
    expect(timestampMs(verified.lastUseTime!)).toBe(start + 6 * minute);
    expect(verified.lastMail).toBeUndefined();
    const { user } = await client.getUserByID({ userId: "u" });
    expect(user?.authenticators?.otpEmail).toEqual([verified]);
  });

  it("has no last use if the caller vouched for the address", async () => {
    const client = await app().admin();
    const { userId } = await newUser(app());
    const { otpEmail } = await client.getOTPEmail({ userId, otpEmailId: await addVerified(client, userId) });
    expect(otpEmail?.verifyTime).toBeDefined();
    expect(otpEmail?.lastUseTime).toBeUndefined();
  });

  it("shows the state of its last mail, also after that has left the outbox", async () => {
    const { relay, answerWith } = await startFailingRelay();
    const test = await startWithUser({ COUNTERSIGN_SMTP_URL: `smtp://127.0.0.1:${relay.port}` });
    const client = await test.admin();
    const { otpEmailId } = await client.addOTPEmail({ userId: "u", email: { address } });
    const lastMail = async () => (await client.getOTPEmail({ userId: "u", otpEmailId })).otpEmail?.lastMail;
    const start = test.clock.now();
    await expect
      .poll(lastMail)
      .toMatchObject({ state: DeliveryState.DEFERRED, reason: expect.stringContaining("451") });
    expect((await lastMail())?.settleTime).toBeUndefined();

    answerWith(undefined);
    test.clock.move(3_000);
    await expect.poll(lastMail).toMatchObject({ state: DeliveryState.SENT, reason: "" });
    const sent = await lastMail();
    expect(timestampMs(sent!.createTime!)).toBe(start);
    expect(timestampMs(sent!.settleTime!)).toBe(start + 3_000);
    await test.app.store.write((trx) => trx.deleteFrom("outbox").execute());
    expect(await lastMail()).toEqual(sent);
    test.clock.move(minute);

    answerWith(smtpRefusal(550, "no such user"));
    await client.resendOTPEmailCode({ userId: "u", otpEmailId });
    await expect
      .poll(lastMail)
      .toMatchObject({ state: DeliveryState.FAILED, reason: expect.stringContaining("550") });
  });

  it("shows the state of its last mail, also while an older one is still queued", async () => {
    const { relay, answerWith } = await startFailingRelay();
    const test = await startWithUser({ COUNTERSIGN_SMTP_URL: `smtp://127.0.0.1:${relay.port}` });
    const client = await test.admin();
    const name = { userId: "u", otpEmailId: await addVerified(client) };
    const state = async () => (await client.getOTPEmail(name)).otpEmail?.lastMail?.state;
    // Queues a notice to the first address, which is deferred.
    await addPending(client, "u", "daisy@duck.com");
    await expect.poll(state).toBe(DeliveryState.DEFERRED);

    answerWith(undefined);
    const login = test.challengeClient(await test.token("login", { permissions: ["otp.challenge"] }));
    await login.createOTPEmailChallenge({ ...name, audience: "https://app.example.com" });
    await expect.poll(() => relay.received.length).toBe(1);
    await expect.poll(state).toBe(DeliveryState.SENT);
  });

  it("has a masked address only for callers with otp.challenge only", async () => {
    const test = app();
    const { userId } = await newUser(test);
    const otpEmailId = await addVerified(await test.admin(), userId);
    const seenBy = async (token: string) => {
      const client = test.client(token);
      const { otpEmail } = await client.getOTPEmail({ userId, otpEmailId });
      const { otpEmails } = await client.listOTPEmails({ userId });
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
    expect(await seenBy(await test.token(userId))).toBe(address);
    expect(await seenBy(await test.token(userId, { org, permissions: ["otp.challenge"] }))).toBe(address);
  });
});

describe("ResendOTPEmailCode", () => {
  it("T05 does not reset the attempts, neither with the same code nor with a new one", async () => {
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

  it("T48 mails the code for the user itself, and neither returns it nor links it to any host", async () => {
    const test = app();
    const { userId, address } = await newUser(test);
    const { otpEmailId } = await addPending(await test.admin(), userId, address);
    const self = test.client(await test.token(userId));
    const name = { userId, otpEmailId };
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

  it("uses the link of send_code", async () => {
    const test = app();
    const { userId, address } = await newUser(test);
    const client = await test.admin();
    const { otpEmailId, code } = await addPending(client, userId, address);
    const value = { urlTemplate: "https://app.example.com/{{.Code}}" };
    await client.resendOTPEmailCode({ userId, otpEmailId, verification: { case: "sendCode", value } });
    const [mail] = await test.mails(address);
    expect(mail!.text).toContain(`https://app.example.com/${code}`);
    const http = { urlTemplate: "http://app.example.com/" };
    const refused = client.resendOTPEmailCode({
      userId,
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
  it("resets the lock, and invalidates the code that was guessed at", async () => {
    const client = await app().admin();
    const { userId } = await newUser(app());
    const { otpEmailId, code } = await addPending(client, userId);
    const name = { userId, otpEmailId };
    for (let i = 1; i <= 5; i++)
      await outcomeOf(client.verifyOTPEmail({ ...name, code: wrongCode(code, i) }));
    const guessed = await failWithNext(client, name);
    await client.unlockOTPEmail(name);
    expect(await outcomeOf(client.verifyOTPEmail({ ...name, code: guessed }))).toBe("CODE_EXPIRED");
    await failWithNext(client, name);
    const fresh = await failWithNext(client, name);
    // The next lock is as short as the first one.
    expect(await refusalOf(client.verifyOTPEmail({ ...name, code: fresh }))).toMatchObject({
      retryAfter: 300,
    });
  });

  it("does not invalidate a code without wrong attempts", async () => {
    const client = await app().admin();
    const { userId } = await newUser(app());
    const { otpEmailId, code } = await addPending(client, userId);
    const name = { userId, otpEmailId };
    expect(await refusalOf(client.unlockOTPEmail(name))).toMatchObject({
      code: "FailedPrecondition",
      reason: "OTP_EMAIL_NOT_LOCKED",
    });
    await client.verifyOTPEmail({ ...name, code });
  });

  it("succeeds once for 50 concurrent calls", async () => {
    const client = await app().admin("gRPC");
    const { userId } = await newUser(app());
    const { otpEmailId, code } = await addPending(client, userId);
    const name = { userId, otpEmailId };
    for (let i = 1; i <= 5; i++)
      await outcomeOf(client.verifyOTPEmail({ ...name, code: wrongCode(code, i) }));
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () => outcomeOf(client.unlockOTPEmail(name))),
    );
    expect(outcomes.filter((o) => o === "OK")).toHaveLength(1);
    const types = await eventTypes(app(), userId);
    expect(types.filter((type) => type === "otp_email.unlocked")).toHaveLength(1);
  });
});

describe("RemoveOTPEmail", () => {
  it("succeeds once for 50 concurrent calls", async () => {
    const client = await app().admin("gRPC");
    const { userId } = await newUser(app());
    const name = { userId, otpEmailId: await addVerified(client, userId) };
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () => outcomeOf(client.removeOTPEmail(name))),
    );
    expect(outcomes.filter((o) => o === "OK")).toHaveLength(1);
    expect(outcomes.filter((o) => o === "OTP_EMAIL_NOT_FOUND")).toHaveLength(49);
    const types = await eventTypes(app(), userId);
    expect(types.filter((type) => type === "otp_email.removed")).toHaveLength(1);
  });

  it("removes everything if the address is verified concurrently, in any order", async () => {
    const client = await app().admin("gRPC");
    const { userId } = await newUser(app());
    for (let round = 0; round < 20; round++) {
      // A new address each time: if the removal is first, the attempt counts as wrong for the address.
      const { otpEmailId, code } = await addPending(client, userId, `round-${round}@x.io`);
      const verify = outcomeOf(client.verifyOTPEmail({ userId, otpEmailId, code }));
      const remove = outcomeOf(client.removeOTPEmail({ userId, otpEmailId }));
      const [verified, removed] = await Promise.all(
        round % 2 ? [verify, remove] : [verify, remove].reverse(),
      );
      expect([verified, removed]).toContain("OK");
      expect((await client.listOTPEmails({ userId })).otpEmails).toEqual([]);
    }
  });

  it("removes queued mails, and invalidates the code of a mail that was sent", async () => {
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

  it.each(["of another user", "with a leading zero in the id"])(
    "does not find an authenticator %s",
    async (kind) => {
      const client = await app().admin();
      const { userId } = await newUser(app());
      const other = await newUser(app());
      const otpEmailId = await addVerified(client, userId);
      const name =
        kind === "of another user"
          ? { userId: other.userId, otpEmailId }
          : { userId, otpEmailId: `0${otpEmailId}` };
      expect(await outcomeOf(client.removeOTPEmail(name))).toBe("OTP_EMAIL_NOT_FOUND");
      expect(await outcomeOf(client.getOTPEmail(name))).toBe("OTP_EMAIL_NOT_FOUND");
      expect((await client.listOTPEmails({ userId })).otpEmails).toHaveLength(1);
    },
  );
});

describe("the limit of authenticators per user", () => {
  it("is 10, also for 50 concurrent calls", async () => {
    const client = await app().admin("gRPC");
    const { userId } = await newUser(app());
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, i) => outcomeOf(addPending(client, userId, `a${i}@x.io`))),
    );
    expect(outcomes.filter((o) => o === "OK")).toHaveLength(10);
    expect(outcomes.filter((o) => o === "OTP_EMAIL_LIMIT_REACHED")).toHaveLength(40);
    expect((await client.listOTPEmails({ userId })).otpEmails).toHaveLength(10);
  });

  it("is checked before the lock of an address, because waiting would not help", async () => {
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

  it("can be configured, and does not affect adding an address again", async () => {
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
  it("pages in the order of adding; concurrent changes neither repeat nor hide others", async () => {
    const client = await app().admin();
    const { userId } = await newUser(app());
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push(await addVerified(client, userId, `a${i}@x.io`));
    const page = async (pageToken: string) => client.listOTPEmails({ userId, pageSize: 2, pageToken });
    const first = await page("");
    await client.removeOTPEmail({ userId, otpEmailId: ids[1]! });
    const late = await addVerified(client, userId, "late@x.io");
    const second = await page(first.nextPageToken);
    const third = await page(second.nextPageToken);
    const listed = [first, second, third].flatMap((reply) => reply.otpEmails.map((e) => e.otpEmailId));
    expect(listed).toEqual([...ids, late]);
    expect(third.nextPageToken).toBe("");
  });

  it.each([
    ["an invalid page token", { pageToken: "x" }, "page_token"],
    ["the page token of another user", {}, "page_token"],
    ["a truncated page token", {}, "page_token"],
    ["a negative page size", { pageSize: -1 }, "page_size"],
  ])("refuses %s", async (kind, request, field) => {
    const client = await app().admin();
    const { userId } = await newUser(app());
    const other = await newUser(app());
    for (const to of ["a@x.io", "b@x.io"]) await addVerified(client, userId, to);
    const { nextPageToken } = await client.listOTPEmails({ userId, pageSize: 1 });
    const pageToken = kind === "a truncated page token" ? nextPageToken.slice(0, -1) : nextPageToken;
    const listed = kind === "the page token of another user" ? other.userId : userId;
    const refusal = await refusalOf(client.listOTPEmails({ userId: listed, pageToken, ...request }));
    expect(refusal).toMatchObject({ code: "InvalidArgument", fields: [field] });
  });
});
