import { createClient } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import { UserService } from "../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { makeMailHandle } from "../../src/otp/codes/mail-handle.ts";
import { type Protocol, protocols, startTestApp, type TestApp, withToken } from "../support/app.ts";
import { outcomeOf, refusalOf } from "../support/errors.ts";
import {
  type Caller,
  callerOf,
  enrolment,
  everywhere,
  fail,
  type Issued,
  login,
  type Purpose,
  purposes,
} from "../support/otp/purposes.ts";
import { addUser, eventTypes } from "../support/users.ts";

/** Starts the service with a user and a code issued to it. */
async function startWithCode(
  purpose: Purpose,
  { protocol, environment = {} }: { protocol?: Protocol; environment?: Record<string, string> } = {},
) {
  const test = await startTestApp({ environment });
  const caller = await callerOf(test, protocol);
  await addUser(caller.users);
  const name = await purpose.prepare(caller);
  return { test, caller, name, issued: await purpose.issue(caller, name) };
}

/** The counters of wrong codes, of authenticators and of challenges. */
async function countsOf({ app }: TestApp) {
  const { db } = app.store;
  const otpEmails = await db.selectFrom("otp_emails").select(["attempts", "failures"]).execute();
  return { otpEmails, challenges: await db.selectFrom("challenges").select("attempts").execute() };
}

describe.each(everywhere)("a code of $purpose.name over $protocol", ({ purpose, protocol }) => {
  const start = (environment?: Record<string, string>) => startWithCode(purpose, { protocol, environment });

  it("T01 is refused at the sixth attempt even if it is right", async () => {
    const { test, caller, issued } = await start();
    for (let i = 1; i <= 5; i++) {
      const call = purpose.verify(caller, issued, purpose.wrong(issued.code, i));
      expect(await refusalOf(call)).toMatchObject({
        code: "InvalidArgument",
        reason: "CODE_INVALID",
        fields: ["code"],
      });
    }
    const right = await refusalOf(purpose.verify(caller, issued));
    const wrong = await refusalOf(purpose.verify(caller, issued, purpose.wrong(issued.code)));
    expect(right).toMatchObject({ code: "ResourceExhausted", reason: "ATTEMPTS_EXHAUSTED" });
    expect({ ...wrong, headers: undefined }).toEqual({ ...right, headers: undefined });
    const events = await eventTypes(test);
    expect(events.filter((type) => type === purpose.events.exhausted)).toHaveLength(1);
    expect(events.filter((type) => type === purpose.events.failed)).toHaveLength(5);
  });

  it("T07 is accepted until its last second, and never after, even if the clock is set back", async () => {
    const { test, caller, name, issued } = await start();
    test.clock.move(purpose.codeTtlMs);
    const refused = async () => outcomeOf(purpose.verify(await callerOf(test, protocol), issued));
    expect(await refused()).toBe("CODE_EXPIRED");
    test.clock.move(1_000);
    expect(await refused()).toBe("CODE_EXPIRED");
    test.clock.move(-3_600_000);
    expect(await refused()).toBe("CODE_EXPIRED");
    test.clock.move(3_600_000);
    const fresh = await purpose.issue(caller, name);
    test.clock.move(purpose.codeTtlMs - 1_000);
    await purpose.verify(caller, fresh);
  });

  it("T19 T50 gets no new attempts by removing and adding its authenticator", async () => {
    const { test, caller, name, issued } = await start();
    await fail(purpose, caller, issued, 5);
    await fail(purpose, caller, await purpose.issue(caller, name), 4);
    await caller.users.removeOTPEmail(name);
    const again = await enrolment.prepare(caller);
    const pending = await enrolment.issue(caller, again);
    await fail(enrolment, caller, pending, 1);
    expect(await outcomeOf(enrolment.verify(caller, pending))).toBe("ATTEMPTS_EXHAUSTED");
    expect(await eventTypes(test)).not.toContain("challenge.passed");
  });

  it("T18 T05 locks only its authenticator, and the lock ends by itself", async () => {
    const { test, caller, name, issued } = await start();
    const other = await purpose.prepare(caller, "u", "other@mouse.com");
    await fail(purpose, caller, issued, 5);
    await fail(purpose, caller, await purpose.issue(caller, name), 5);
    expect(await refusalOf(purpose.issue(caller, name))).toMatchObject({ retryAfter: 300 });
    await purpose.verify(caller, await purpose.issue(caller, other));
    test.clock.move(300_000);
    await purpose.verify(caller, await purpose.issue(caller, name));
  });

  it("T08 T09 T10 can't be any other token of the service, and trying one is no attempt", async () => {
    const { test, caller, issued, name } = await start();
    const before = await countsOf(test);
    const key = { id: "k", secret: Buffer.alloc(32, 1) };
    const keys = { current: key, all: [key], get: () => key } as never;
    const handle = makeMailHandle(keys, { purpose: "login", challengeId: "1" });
    const token = await test.token("admin", { permissions: ["user.write"] });
    const id = "0f8fad5b-d9cb-469f-a165-70867728950e";
    const tokens = [
      name.otpEmailId,
      issued.challengeId,
      "u",
      "o",
      handle,
      token,
      id,
      " ",
      "１２３４５６",
      "1e5",
    ];
    for (const other of tokens.filter((text) => text !== "" && text.length <= 200)) {
      expect(await refusalOf(purpose.verify(caller, issued, other)), other).toMatchObject({
        code: "InvalidArgument",
      });
    }
    expect(await countsOf(test)).toEqual(before);
    await purpose.verify(caller, issued);
  });

  it("T11 doesn't work for another user with the same address", async () => {
    const { caller, issued } = await start();
    await addUser(caller.users, "v");
    const other = await purpose.issue(caller, await purpose.prepare(caller, "v"));
    expect(await outcomeOf(purpose.verify(caller, other, issued.code))).toBe("CODE_INVALID");
    expect(await outcomeOf(purpose.verify(caller, { ...issued, userId: "v" }))).toBe("OTP_EMAIL_NOT_FOUND");
    await purpose.verify(caller, other);
  });

  it.each(["lockUser", "deactivateUser"] as const)(
    "T20 is refused and not counted after %s",
    async (change) => {
      const { test, caller, issued } = await start();
      const before = await countsOf(test);
      await caller.users[change]({ userId: "u" });
      expect(await refusalOf(purpose.verify(caller, issued))).toMatchObject({
        code: "FailedPrecondition",
        reason: "USER_NOT_ACTIVE",
      });
      expect(await countsOf(test)).toEqual(before);
    },
  );

  it("F36 is refused when its key is gone, and a new one can be requested", async () => {
    const keyOf = (id: string) => ({ COUNTERSIGN_KEYS: `${id}:${Buffer.alloc(32, id).toString("base64")}` });
    const { test, issued, name } = await start(keyOf("a"));
    await test.app[Symbol.asyncDispose]();
    const later = await startTestApp({ dataDir: test.dataDir, clock: test.clock, environment: keyOf("b") });
    const caller = await callerOf(later, protocol);
    expect(await outcomeOf(purpose.verify(caller, issued))).toBe("CODE_EXPIRED");
    await purpose.verify(caller, await purpose.issue(caller, name));
  });
});

describe.each(purposes)("codes of $name", (purpose) => {
  it("T41 share their attempts over all protocols", async () => {
    const { test, issued } = await startWithCode(purpose);
    for (const protocol of protocols) {
      const call = purpose.verify(await callerOf(test, protocol), issued, purpose.wrong(issued.code));
      expect(await outcomeOf(call)).toBe("CODE_INVALID");
    }
    for (const protocol of protocols) {
      expect(await outcomeOf(purpose.verify(await callerOf(test, protocol), issued))).toBe(
        "ATTEMPTS_EXHAUSTED",
      );
    }
  });
});

describe("codes of one purpose", () => {
  it.each([
    [enrolment, login],
    [login, enrolment],
  ])("T10 don't work for the other purpose in the same format: $name", async (one, other) => {
    // The same length and alphabet: only the derivation separates them.
    const environment = {
      COUNTERSIGN_CODE_ALPHABET: "digits",
      COUNTERSIGN_CODE_LENGTH: "8",
      COUNTERSIGN_LOGIN_CODE_LENGTH: "8",
    };
    const { test, caller, issued } = await startWithCode(one, { environment });
    const second = await other.issue(caller, await other.prepare(caller, "u", "other@mouse.com"));
    expect(await outcomeOf(other.verify(caller, second, issued.code))).toBe("CODE_INVALID");
    const crossed: Issued = { ...second, otpEmailId: issued.otpEmailId, code: issued.code };
    expect(await outcomeOf(other.verify(caller, crossed))).not.toBe("OK");
    await one.verify(caller, issued);
    expect((await eventTypes(test)).filter((type) => type === other.events.passed)).toHaveLength(
      // The challenged address was vouched for.
      other.name === "enrolment" ? 1 : 0,
    );
  });
});

describe("T41 the other paths of VerifyOTPEmail", () => {
  const published = (url: string) =>
    url.replace(
      /countersign\.user\.v3alpha\.UserService\/VerifyOTPEmail$/,
      "zitadel.user.v3alpha.UserService/VerifyOTPEmailRegistration",
    );

  it("share its attempts: the published path of all RPC protocols, and RPC bodies on the REST path", async () => {
    const { test, issued } = await startWithCode(enrolment);
    const token = await test.token("admin", { permissions: ["user.write"] });
    const rest = (url: string) =>
      `${new URL(url).origin}/v3alpha/users/u/otp_email/${issued.otpEmailId}/verify`;
    const clientFor = (
      create: typeof createGrpcTransport,
      rewrite: (url: string) => string,
    ): Caller["users"] => {
      const interceptor = (next: (request: never) => Promise<never>) => (request: never) => {
        const { url } = request as { url: string };
        return next(Object.assign({}, request, { url: rewrite(url) }));
      };
      const options = { baseUrl: test.origin, interceptors: [interceptor as never] };
      return createClient(UserService, withToken(create(options), token));
    };
    const grpcWeb = (options: { baseUrl: string }) =>
      createGrpcWebTransport({ ...options, httpVersion: "1.1" });
    const connect = (options: { baseUrl: string }) =>
      createConnectTransport({ ...options, httpVersion: "1.1" });
    const clients = [
      clientFor(createGrpcTransport, published),
      clientFor(grpcWeb as never, published),
      clientFor(connect as never, published),
      clientFor(createGrpcTransport, rest),
      clientFor(grpcWeb as never, rest),
    ];
    const verify = (users: Caller["users"], code?: string) =>
      outcomeOf(enrolment.verify({ users } as Caller, issued, code));
    for (const [i, client] of clients.entries()) {
      expect(await verify(client, enrolment.wrong(issued.code, i + 1)), String(i)).toBe("CODE_INVALID");
    }
    for (const client of clients) expect(await verify(client)).toBe("ATTEMPTS_EXHAUSTED");
  });
});
