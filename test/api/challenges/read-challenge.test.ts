import { timestampMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { ChallengeState } from "../../../gen/countersign/user/v3alpha/challenge_service_pb.ts";
import { DeliveryState } from "../../../gen/countersign/user/v3alpha/otp_email_pb.ts";
import { type ChallengeClient, protocols, shareTestApp, startTestApp } from "../../support/app.ts";
import { outcomeOf } from "../../support/errors.ts";
import { addVerified, newUser } from "../../support/users.ts";

const audience = "https://app.example.com";
const minute = 60_000;

const app = shareTestApp();

/** Creates a challenge for a new user. */
async function start({ test = app(), mailed = false } = {}) {
  const admin = await test.admin();
  const { userId, address } = await newUser(test);
  const otpEmailId = await addVerified(admin, userId, address);
  const login = test.challengeClient(await test.token("login", { org: "o", permissions: ["otp.challenge"] }));
  const create = async () => {
    const delivery = mailed ? ({ case: undefined } as const) : ({ case: "returnCode", value: {} } as const);
    const request = { userId, otpEmailId, audience, delivery };
    const { challengeId, code = "" } = await login.createOTPEmailChallenge(request);
    return { name: { userId, otpEmailId, challengeId }, code };
  };
  return { test, admin, login, address, create, ...(await create()) };
}

type Started = Awaited<ReturnType<typeof start>>;

async function get(login: ChallengeClient, name: Started["name"]) {
  return (await login.getOTPEmailChallenge(name)).challenge;
}

const wrong = (code: string) => String((Number(code) + 1) % 1_000_000).padStart(6, "0");

describe.each(protocols)("GetOTPEmailChallenge over %s", (protocol) => {
  it("returns the state of a challenge and its mail", async () => {
    const { test, name, address } = await start({ mailed: true });
    await test.mails(address);
    const token = await test.token("login", { org: "o", permissions: ["otp.challenge"] });
    const login = test.challengeClient(token, protocol);
    let challenge = await get(login, name);
    for (let tries = 0; tries < 500 && !challenge?.mail?.settleTime; tries++)
      challenge = await get(login, name);
    expect(challenge).toMatchObject({
      challengeId: name.challengeId,
      state: ChallengeState.PENDING,
      failedAttemptsLeft: 5,
      mail: { state: DeliveryState.SENT, reason: "" },
    });
    expect(timestampMs(challenge!.createTime!)).toBe(test.clock.now());
    expect(timestampMs(challenge!.expireTime!)).toBe(test.clock.now() + 5 * minute);
    expect(timestampMs(challenge!.mail!.createTime!)).toBe(test.clock.now());
  });
});

describe("the state of a challenge", () => {
  it.each<[keyof typeof ChallengeState, number, (started: Started) => Promise<unknown>]>([
    ["PENDING", 5, async () => {}],
    [
      "PENDING",
      4,
      ({ login, name, code }) => outcomeOf(login.verifyOTPEmailChallenge({ ...name, code: wrong(code) })),
    ],
    ["PASSED", 0, ({ login, name, code }) => login.verifyOTPEmailChallenge({ ...name, code })],
    [
      "FAILED",
      0,
      async ({ login, name, code }) => {
        for (let i = 0; i < 5; i++)
          await outcomeOf(login.verifyOTPEmailChallenge({ ...name, code: wrong(code) }));
      },
    ],
    ["REPLACED", 0, ({ create }) => create()],
    ["CANCELLED", 0, ({ login, name }) => login.cancelOTPEmailChallenge(name)],
    ["EXPIRED", 0, async ({ test }) => test.clock.move(5 * minute)],
  ])("is %s with %i attempts left", async (state, attemptsLeft, act) => {
    const started = await start({ test: state === "EXPIRED" ? await startTestApp() : app() });
    await act(started);
    const challenge = await get(started.login, started.name);
    expect(challenge).toMatchObject({ state: ChallengeState[state], failedAttemptsLeft: attemptsLeft });
    expect(challenge?.mail).toBeUndefined();
  });

  it("is REPORTED after the reader of its mail has reported it", async () => {
    const { test, login, name, address } = await start({ mailed: true });
    const [mail] = await test.mails(address);
    const link = new URL(/^http\S+\/verify\?h=login\S+$/m.exec(mail?.text ?? "")?.[0] ?? "");
    const body = new URLSearchParams({ h: link.searchParams.get("h") ?? "" });
    await fetch(`${link.origin}/verify`, { method: "POST", body });
    expect(await get(login, name)).toMatchObject({ state: ChallengeState.REPORTED });
  });

  it("is PENDING without attempts while the authenticator is locked", async () => {
    const { login, create } = await start();
    for (let round = 0; round < 2; round++) {
      const { name, code } = await create();
      for (let i = 0; i < 4; i++)
        await outcomeOf(login.verifyOTPEmailChallenge({ ...name, code: wrong(code) }));
    }
    const { name, code } = await create();
    expect(await get(login, name)).toMatchObject({ failedAttemptsLeft: 2 });
    await outcomeOf(login.verifyOTPEmailChallenge({ ...name, code: wrong(code) }));
    await outcomeOf(login.verifyOTPEmailChallenge({ ...name, code: wrong(code) }));
    expect(await get(login, name)).toMatchObject({ failedAttemptsLeft: 0 });
  });
});

describe("GetOTPEmailChallenge", () => {
  it("needs otp.challenge or a token of the user itself", async () => {
    const { test, name } = await start();
    const outcomes = [];
    for (const [subject, options] of [
      [name.userId, {}],
      ["login", { org: "o", permissions: ["otp.challenge"] }],
      ["login", { org: "p", permissions: ["otp.challenge"] }],
      ["admin", { org: "o", permissions: ["user.write", "user.read"] }],
      ["v", {}],
    ] as const) {
      const token = await test.token(subject, {
        ...options,
        permissions: [...(("permissions" in options && options.permissions) || [])],
      });
      outcomes.push(await outcomeOf(test.challengeClient(token).getOTPEmailChallenge(name)));
    }
    expect(outcomes).toEqual(["OK", "OK", "USER_NOT_FOUND", "PERMISSION_MISSING", "PERMISSION_MISSING"]);
  });

  it("is NOT_FOUND for an unknown id and REQUEST_INVALID for an empty one", async () => {
    const { login, name } = await start();
    for (const [more, outcome] of [
      [{ otpEmailId: "1" }, "OTP_EMAIL_NOT_FOUND"],
      [{ challengeId: "1" }, "CHALLENGE_NOT_FOUND"],
      [{ challengeId: "x' or 1=1" }, "CHALLENGE_NOT_FOUND"],
      [{ challengeId: "" }, "REQUEST_INVALID"],
    ] as const) {
      expect(await outcomeOf(login.getOTPEmailChallenge({ ...name, ...more }))).toBe(outcome);
    }
  });
});
