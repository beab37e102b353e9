import { describe, expect, it } from "vitest";
import { protocols, startTestApp, type TestApp } from "../support/app.ts";
import { outcomeOf, refusalOf } from "../support/errors.ts";
import { callerOf, fail, type Purpose, purposes } from "../support/otp/purposes.ts";
import { addUser } from "../support/users.ts";

const second = 1_000;
const minute = 60 * second;

interface Case {
  readonly reason: string;
  readonly environment?: Record<string, string>;
  /** Brings the authenticator to its limit, so that the call is refused. */
  exhaust(test: TestApp, purpose: Purpose, name: Name): Promise<void>;
  /** The refused call. By default it requests a mail. */
  call?(test: TestApp, purpose: Purpose, name: Name): Promise<unknown>;
  /** The precision of the wait in milliseconds. */
  readonly exactMs: number;
}

type Name = Awaited<ReturnType<Purpose["prepare"]>>;

const high = {
  COUNTERSIGN_MAIL_INTERVAL: "0s",
  COUNTERSIGN_MAILS_PER_HOUR_MAX: "1000",
  COUNTERSIGN_ADDRESS_MAILS_PER_HOUR_MAX: "1000",
};

const mail = async (test: TestApp, purpose: Purpose, name: Name) => purpose.mail(await callerOf(test), name);

/** Sends this many mails at this interval. */
const mails = (count: number, apartMs: number) => async (test: TestApp, purpose: Purpose, name: Name) => {
  for (let i = 0; i < count; i++) {
    if (i > 0) test.clock.move(apartMs);
    await mail(test, purpose, name);
  }
};

/** Enters ten wrong codes, five at each of two codes. */
async function lock(test: TestApp, purpose: Purpose, name: Name): Promise<void> {
  const caller = await callerOf(test);
  for (let i = 0; i < 2; i++) await fail(purpose, caller, await purpose.issue(caller, name), 5);
}

const cases: Record<string, Case> = {
  "the interval of mails": { reason: "RESEND_TOO_SOON", exhaust: mails(1, 0), exactMs: 1 },
  "the mails of an hour": { reason: "SEND_LIMIT_REACHED", exhaust: mails(5, minute), exactMs: 1 },
  "the mails of a day": {
    reason: "SEND_LIMIT_REACHED",
    environment: { COUNTERSIGN_MAILS_PER_DAY_MAX: "3" },
    exhaust: mails(3, minute),
    exactMs: 1,
  },
  "the mails to an address": {
    reason: "SEND_LIMIT_REACHED",
    environment: { ...high, COUNTERSIGN_ADDRESS_MAILS_PER_HOUR_MAX: "2" },
    exhaust: mails(2, minute),
    exactMs: 1,
  },
  "the mails of a client address": {
    reason: "SEND_LIMIT_REACHED",
    environment: { ...high, COUNTERSIGN_CLIENT_MAILS_PER_HOUR_MAX: "2" },
    exhaust: mails(2, minute),
    exactMs: second,
  },
  "the mails of all": {
    reason: "SEND_LIMIT_REACHED",
    environment: { ...high, COUNTERSIGN_ALL_MAILS_PER_HOUR_MAX: "2" },
    exhaust: mails(2, minute),
    exactMs: second,
  },
  "a lock, when the code is returned": {
    reason: "ATTEMPTS_EXHAUSTED",
    exhaust: lock,
    call: async (test, purpose, name) => purpose.issue(await callerOf(test), name),
    exactMs: 1,
  },
  "a lock, when the code is mailed": { reason: "ATTEMPTS_EXHAUSTED", exhaust: lock, exactMs: 1 },
  "a lock that ends before another mail is allowed": {
    reason: "ATTEMPTS_EXHAUSTED",
    async exhaust(test, purpose, name) {
      await mails(5, minute)(test, purpose, name);
      await lock(test, purpose, name);
    },
    exactMs: 1,
  },
};

describe.each(purposes)("the wait in a refusal is exact for codes of $name", (purpose) => {
  it.each(Object.entries(cases))("after %s", async (_name, { call = mail, exhaust, ...given }) => {
    const { reason, environment = {}, exactMs } = given;
    const test = await startTestApp({ environment });
    const caller = await callerOf(test);
    await addUser(caller.users);
    const name = await purpose.prepare(caller);
    await exhaust(test, purpose, name);
    const { retryAfter = 0, ...refusal } = await refusalOf(call(test, purpose, name));
    expect(refusal).toMatchObject({ code: "ResourceExhausted", reason });
    expect(refusal.headers.get("retry-after")).toBe(String(retryAfter));
    test.clock.move(retryAfter * second - exactMs);
    expect(await refusalOf(call(test, purpose, name))).toMatchObject({ retryAfter: 1 });
    test.clock.move(exactMs);
    expect(await outcomeOf(call(test, purpose, name))).toBe("OK");
  });

  it.each(protocols)("after too many wrong codes, over %s", async (protocol) => {
    const test = await startTestApp();
    const admin = await callerOf(test);
    await addUser(admin.users);
    const name = await purpose.prepare(admin);
    await purpose.mail(admin, name);
    test.clock.move(20 * second);
    // An enrolment returns the same code. A login replaces the challenge.
    const issued = await purpose.issue(admin, name);
    await fail(purpose, admin, issued, 5);
    const caller = await callerOf(test, protocol);
    const refusal = await refusalOf(purpose.verify(caller, issued));
    expect(refusal).toMatchObject({ reason: "ATTEMPTS_EXHAUSTED", retryAfter: 40 });
    test.clock.move(40 * second - 1);
    expect(await outcomeOf(purpose.mail(caller, name))).toBe("RESEND_TOO_SOON");
    test.clock.move(1);
    expect(await outcomeOf(purpose.mail(caller, name))).toBe("OK");
  });

  it("after a lock that verifying reports", async () => {
    const test = await startTestApp();
    const caller = await callerOf(test);
    await addUser(caller.users);
    const name = await purpose.prepare(caller);
    for (let i = 0; i < 5; i++) {
      if (i > 0) test.clock.move(minute);
      await purpose.mail(caller, name);
    }
    await fail(purpose, caller, await purpose.issue(caller, name), 5);
    const issued = await purpose.issue(caller, name);
    await fail(purpose, caller, issued, 5);
    const { retryAfter = 0, reason } = await refusalOf(purpose.verify(caller, issued));
    expect({ reason, retryAfter }).toEqual({ reason: "ATTEMPTS_EXHAUSTED", retryAfter: 56 * 60 });
    test.clock.move(retryAfter * second - 1);
    expect(await outcomeOf(mail(test, purpose, name))).toBe("SEND_LIMIT_REACHED");
    test.clock.move(1);
    expect(await outcomeOf(mail(test, purpose, name))).toBe("OK");
  });
});
