import { describe, expect, it } from "vitest";
import { codeIn, protocols, startTestApp, type TestApp } from "../../support/app.ts";
import { outcomeOf, type Refusal, refusalOf } from "../../support/errors.ts";
import { addUser, addVerified } from "../../support/users.ts";

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const address = "mini@mouse.com";
const returnCode = { case: "returnCode", value: {} } as const;

/** Limits that are never reached. Each test sets those that it is about. */
const high = {
  COUNTERSIGN_MAIL_INTERVAL: "0s",
  COUNTERSIGN_MAILS_PER_HOUR_MAX: "1000",
  COUNTERSIGN_ADDRESS_MAILS_PER_HOUR_MAX: "1000",
};

async function startWithUser(environment: Record<string, string> = {}): Promise<TestApp> {
  const test = await startTestApp({ environment });
  await addUser(await test.admin());
  return test;
}

/** The number of mails that the limits let through. */
async function queuedMails({ app }: TestApp): Promise<number> {
  return (await app.store.db.selectFrom("outbox").selectAll().execute()).length;
}

/** Calls until a call is refused. Returns the refusal, and the number of calls before it as `done`. */
async function callUntilRefused(call: () => Promise<unknown>): Promise<Refusal & { done: number }> {
  for (let done = 0; done < 1_000; done++) {
    const outcome = await call().then(
      () => undefined,
      (error: unknown) => error,
    );
    if (outcome !== undefined) return { ...(await refusalOf(Promise.reject(outcome))), done };
  }
  throw new Error("no call was refused");
}

describe.each(protocols)("mails over %s", (protocol) => {
  it("T41 are a minute apart over Add, Resend and all callers, with exact waits", async () => {
    const test = await startWithUser();
    const client = await test.admin(protocol);
    const add = () => client.addOTPEmail({ userId: "u", email: { address } });
    const { otpEmailId } = await add();
    const resend = () => client.resendOTPEmailCode({ userId: "u", otpEmailId });
    const self = test.client(await test.token("u"), protocol);
    test.clock.move(15_500);
    for (const call of [add, resend, () => self.resendOTPEmailCode({ userId: "u", otpEmailId })]) {
      const refusal = await refusalOf(call());
      expect(refusal).toMatchObject({
        code: "ResourceExhausted",
        reason: "RESEND_TOO_SOON",
        domain: "countersign",
        retryAfter: 45,
      });
      if (protocol !== "gRPC" && protocol !== "gRPC-Web")
        expect(refusal.headers.get("retry-after")).toBe("45");
    }
    test.clock.move(44_499);
    expect(await refusalOf(resend())).toMatchObject({ retryAfter: 1 });
    test.clock.move(1);
    await resend();
    expect(await refusalOf(add())).toMatchObject({ retryAfter: 60 });
  });
});

describe("mails for one authenticator", () => {
  it("are limited to 5 in any hour and 20 in any day, with exact waits", async () => {
    const test = await startWithUser({ COUNTERSIGN_ADDRESS_MAILS_PER_HOUR_MAX: "1000" });
    // Tokens are valid for an hour, so each call gets a new one.
    const { otpEmailId } = await (await test.admin()).addOTPEmail({ userId: "u", email: { address } });
    const resend = async () => (await test.admin()).resendOTPEmailCode({ userId: "u", otpEmailId });
    const times = [test.clock.now()];
    const reasons = new Set<string | undefined>();
    while (times.length < 30) {
      const refusal = await refusalOf(resend());
      reasons.add(refusal.reason);
      const waitMs = (refusal.retryAfter ?? 0) * second;
      test.clock.move(waitMs - 1);
      expect(await refusalOf(resend())).toMatchObject({ retryAfter: 1 });
      test.clock.move(1);
      await resend();
      const now = test.clock.now();
      times.push(now);
      expect(times.filter((time) => time > now - hour).length).toBeLessThanOrEqual(5);
      expect(times.filter((time) => time > now - 24 * hour).length).toBeLessThanOrEqual(20);
    }
    expect(reasons).toEqual(new Set(["RESEND_TOO_SOON", "SEND_LIMIT_REACHED"]));
    expect(times[20]! - times[0]!).toBe(24 * hour);
  });

  it("don't count for return_code and is_verified, which are never refused", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    const { otpEmailId } = await client.addOTPEmail({ userId: "u", email: { address } });
    for (let i = 0; i < 30; i++) {
      await client.resendOTPEmailCode({ userId: "u", otpEmailId, verification: returnCode });
      await client.addOTPEmail({ userId: "u", email: { address, verification: returnCode } });
    }
    test.clock.move(minute);
    await client.resendOTPEmailCode({ userId: "u", otpEmailId });
    await addVerified(client);
  });

  it("T50 stay counted when the authenticator is removed and added again", async () => {
    const test = await startWithUser();
    const client = await test.admin();
    const add = () => client.addOTPEmail({ userId: "u", email: { address } });
    const { otpEmailId } = await add();
    await client.removeOTPEmail({ userId: "u", otpEmailId });
    expect(await outcomeOf(add())).toBe("RESEND_TOO_SOON");
    // The refused call left nothing behind.
    expect((await client.listOTPEmails({ userId: "u" })).otpEmails).toEqual([]);
  });

  it("stay counted after a restart with a new code key", async () => {
    const key = (id: string) => `${id}:${Buffer.alloc(32, id).toString("base64")}`;
    const first = await startWithUser({ COUNTERSIGN_KEYS: key("a") });
    await (await first.admin()).addOTPEmail({ userId: "u", email: { address } });
    await first.app[Symbol.asyncDispose]();
    const environment = { COUNTERSIGN_KEYS: `${key("b")},${key("a")}` };
    const again = await startTestApp({ dataDir: first.dataDir, clock: first.clock, environment });
    const call = (await again.admin()).addOTPEmail({ userId: "u", email: { address } });
    expect(await refusalOf(call)).toMatchObject({ reason: "RESEND_TOO_SOON", retryAfter: 60 });
  });
});

describe("mails to one address", () => {
  it("T25 T06 are limited to 5 an hour over users, organizations, tokens and spellings", async () => {
    const test = await startTestApp();
    const admin = await test.admin("gRPC");
    const spellings = [address, "MINI@mouse.com", "mini@MOUSE.com", "Mini@Mouse.Com"];
    const outcomes: string[] = [];
    for (let i = 0; i < 40; i++) {
      await addUser(admin, `u${i}`, `o${i % 3}`);
      const token =
        i % 2 ? await test.token(`u${i}`) : await test.token(`a${i}`, { permissions: ["user.write"] });
      const call = test
        .client(token)
        .addOTPEmail(
          { userId: `u${i}`, email: { address: spellings[i % 4]! } },
          { headers: { "x-forwarded-for": `192.0.2.${i}`, "user-agent": `agent ${i}` } },
        );
      outcomes.push(await outcomeOf(call));
    }
    expect(outcomes).toEqual([...Array(5).fill("OK"), ...Array(35).fill("SEND_LIMIT_REACHED")]);
    expect(await queuedMails(test)).toBe(5);
    await addUser(admin, "v");
    const call = () => admin.addOTPEmail({ userId: "v", email: { address } });
    expect(await refusalOf(call())).toMatchObject({ code: "ResourceExhausted", retryAfter: 3600 });
    // A `+` tag makes another address.
    await admin.addOTPEmail({ userId: "v", email: { address: "mini+tag@mouse.com" } });
    test.clock.move(hour - 1);
    const late = await test.admin();
    expect(await refusalOf(late.addOTPEmail({ userId: "v", email: { address } }))).toMatchObject({
      retryAfter: 1,
    });
    test.clock.move(1);
    await (await test.admin()).addOTPEmail({ userId: "v", email: { address } });
  });

  it("are counted without storing the address", async () => {
    const test = await startWithUser();
    await (await test.admin()).addOTPEmail({ userId: "u", email: { address } });
    const rows = await test.app.store.db.selectFrom("hits").selectAll().execute();
    expect(rows).toHaveLength(4);
    for (const { digest } of rows) expect(digest).toMatch(/^[\w-]{43}$/);
  });
});

describe("ceilings", () => {
  it("limit all mails together, by the minute", async () => {
    const test = await startWithUser({ ...high, COUNTERSIGN_ALL_MAILS_PER_HOUR_MAX: "3" });
    const client = await test.admin();
    let i = 0;
    const add = () => client.addOTPEmail({ userId: "u", email: { address: `a${i++}@x.io` } });
    const refusal = await callUntilRefused(add);
    expect(refusal).toMatchObject({ done: 3, reason: "SEND_LIMIT_REACHED" });
    test.clock.move((refusal.retryAfter ?? 0) * second);
    const again = await test.admin();
    await again.addOTPEmail({ userId: "u", email: { address: "b@x.io" } });
  });

  it("are not counted when off", async () => {
    const test = await startWithUser({
      ...high,
      COUNTERSIGN_CLIENT_MAILS_PER_HOUR_MAX: "off",
      COUNTERSIGN_ALL_MAILS_PER_HOUR_MAX: "off",
    });
    const client = await test.admin();
    await client.addOTPEmail({ userId: "u", email: { address } });
    // One for the authenticator and one for the address.
    expect(await test.app.store.db.selectFrom("hits").selectAll().execute()).toHaveLength(2);
  });

  const clientLimit = {
    ...high,
    COUNTERSIGN_CLIENT_MAILS_PER_HOUR_MAX: "2",
    COUNTERSIGN_OTP_EMAILS_MAX: "100",
  };

  it("T46 limit a client address, and ignore forwarding headers of untrusted clients", async () => {
    const test = await startWithUser(clientLimit);
    const client = await test.admin();
    let i = 0;
    const add = () =>
      client.addOTPEmail(
        { userId: "u", email: { address: `a${i}@x.io` } },
        { headers: { "x-forwarded-for": `192.0.2.${i++}` } },
      );
    expect(await callUntilRefused(add)).toMatchObject({ done: 2, reason: "SEND_LIMIT_REACHED" });
  });

  it.each(protocols)(
    "T46 trust the forwarding headers of trusted proxies alone, over %s",
    async (protocol) => {
      const test = await startWithUser({
        ...clientLimit,
        COUNTERSIGN_TRUSTED_PROXIES: "127.0.0.0/8, 10.0.0.0/8",
      });
      const client = await test.admin(protocol);
      let i = 0;
      const addFrom = (forwardedFor: string) =>
        client.addOTPEmail(
          { userId: "u", email: { address: `a${i++}@x.io` } },
          {
            headers: {
              "x-forwarded-for": forwardedFor,
              forwarded: `for=192.0.2.${i}`,
              "x-real-ip": `192.0.2.${i}`,
            },
          },
        );
      const spoofed = await callUntilRefused(() =>
        addFrom(`192.0.2.${i}, 10.1.1.${i}, 198.51.100.7, 10.0.0.1`),
      );
      expect(spoofed).toMatchObject({ done: 2, reason: "SEND_LIMIT_REACHED" });
      // A customer has a whole /64.
      const ipv6 = await callUntilRefused(() => addFrom(`2001:db8:1:2::${i}`));
      expect(ipv6).toMatchObject({ done: 2 });
      await addFrom("2001:db8:1:3::1");
      const events = await test.app.store.db
        .selectFrom("events")
        .select("client_address")
        // Events of mails come at any time.
        .where("type", "=", "otp_email.added")
        .orderBy("position")
        .execute();
      const addresses = events.map((event) => event.client_address);
      expect(addresses.filter((from) => from === "198.51.100.7")).toHaveLength(2);
      expect(addresses.at(-1)).toBe("2001:db8:1:3::1");
    },
  );
});

describe("50 calls at once", () => {
  it("T25 queue one mail for an authenticator, and five to an address", async () => {
    const test = await startWithUser();
    const client = await test.admin("gRPC");
    const same = await Promise.all(
      Array.from({ length: 50 }, () => outcomeOf(client.addOTPEmail({ userId: "u", email: { address } }))),
    );
    expect(same.filter((outcome) => outcome === "OK")).toHaveLength(1);
    expect(same.filter((outcome) => outcome === "RESEND_TOO_SOON")).toHaveLength(49);
    for (let i = 0; i < 50; i++) await addUser(client, `u${i}`);
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        outcomeOf(client.addOTPEmail({ userId: `u${i}`, email: { address } })),
      ),
    );
    expect(outcomes.filter((outcome) => outcome === "OK")).toHaveLength(4);
    expect(await queuedMails(test)).toBe(5);
  });
});

describe("a login right after sign-up", () => {
  it.each(protocols)("I3 is mailed at once over %s, and the next one waits", async (protocol) => {
    const test = await startWithUser();
    const client = await test.admin(protocol);
    const login = test.challengeClient(
      await test.token("login", { permissions: ["otp.challenge"] }),
      protocol,
    );
    const { otpEmailId } = await client.addOTPEmail({ userId: "u", email: { address } });
    const [mail] = await test.mails(address);
    test.clock.move(second);
    await client.verifyOTPEmail({ userId: "u", otpEmailId, code: codeIn(mail!) });
    const challenge = () =>
      login.createOTPEmailChallenge({ userId: "u", otpEmailId, audience: "https://app.example.com" });
    expect(await outcomeOf(challenge())).toBe("OK");
    test.clock.move(second);
    expect(await refusalOf(challenge())).toMatchObject({ reason: "RESEND_TOO_SOON", retryAfter: 59 });
  });
});
