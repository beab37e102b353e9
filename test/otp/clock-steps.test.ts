import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { UserService } from "../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { forwards } from "../../src/lib/clock.ts";
import { startTestApp, type TestApp, transport, withToken, wrongCode } from "../support/app.ts";
import { adminToken, databaseOf, StorageLoad, startLoaded } from "../support/db/storage-load.ts";
import { outcomeOf, refusalOf } from "../support/errors.ts";
import { temporaryFolder } from "../support/folder.ts";
import { shiftedClock } from "../support/process/shifted-clock.ts";
import { isSoak, rounds } from "../support/soak.ts";
import { addPending, addUser, addVerified } from "../support/users.ts";

const minute = 60_000;
const hour = 60 * minute;
const years = 10 * 365 * 24 * hour;

const steps: [string, number][] = [
  ["an hour back", -hour],
  ["an hour on", hour],
  ["10 years back", -years],
  ["10 years on", years],
];
const backwards = steps.filter(([, ms]) => ms < 0);

async function start() {
  const test = await startTestApp();
  const admin = await test.admin();
  await addUser(admin);
  return { test, admin };
}

/** Gets a new token, because the clock may have moved out of the lifetime of older ones. */
const verifyNow = async (test: TestApp, request: { otpEmailId: string; code: string }) =>
  outcomeOf((await test.admin()).verifyOTPEmail({ userId: "u", ...request }));

describe("F10 setting the clock", () => {
  it.each(steps)("%s expires a code, which stays expired when the clock is corrected", async (_, ms) => {
    const { test, admin } = await start();
    const code = await addPending(admin);
    test.clock.move(ms);
    expect(await verifyNow(test, code)).toBe("CODE_EXPIRED");
    test.clock.move(-ms);
    expect(await verifyNow(test, code)).toBe("CODE_EXPIRED");
  });

  it.each(backwards)("%s revives no expired code, even if it was never tried", async (_, ms) => {
    const { test, admin } = await start();
    const code = await addPending(admin);
    test.clock.move(20 * minute);
    test.clock.move(ms);
    expect(await verifyNow(test, code)).toBe("CODE_EXPIRED");
  });

  it.each(backwards)(
    "%s expires a login code, which stays expired when the clock is corrected",
    async (_, ms) => {
      const { test, admin } = await start();
      const otpEmailId = await addVerified(admin);
      const login = async () =>
        test.challengeClient(await test.token("login", { org: "o", permissions: ["otp.challenge"] }));
      const delivery = { case: "returnCode", value: {} } as const;
      const audience = "https://app.example.com";
      const created = await (await login()).createOTPEmailChallenge({
        userId: "u",
        otpEmailId,
        audience,
        delivery,
      });
      test.clock.move(ms);
      const { challengeId, code = "" } = created;
      const request = { userId: "u", otpEmailId, challengeId, code };
      expect(await outcomeOf((await login()).verifyOTPEmailChallenge(request))).toBe("CODE_EXPIRED");
      test.clock.move(-ms);
      expect(await outcomeOf((await login()).verifyOTPEmailChallenge(request))).toBe("CODE_EXPIRED");
    },
  );

  it.each(backwards)("%s neither resets attempts nor unlocks", async (_, ms) => {
    const { test, admin } = await start();
    let { otpEmailId, code } = await addPending(admin);
    for (let i = 0; i < 10; i++) {
      if (i === 5) ({ otpEmailId, code } = await addPending(admin));
      await outcomeOf(admin.verifyOTPEmail({ userId: "u", otpEmailId, code: wrongCode(code) }));
    }
    expect(await verifyNow(test, { otpEmailId, code })).toBe("ATTEMPTS_EXHAUSTED");
    test.clock.move(ms);
    expect(await verifyNow(test, { otpEmailId, code })).toBe("ATTEMPTS_EXHAUSTED");
  });

  it.each(backwards)("%s lets no further mails through", async (_, ms) => {
    const { test, admin } = await start();
    await addUser(admin, "v");
    const add = async (userId: string) =>
      (await test.admin()).addOTPEmail({ userId, email: { address: "mini@mouse.com" } });
    for (let i = 0; i < 5; i++) {
      await add("u");
      test.clock.move(minute);
    }
    expect((await refusalOf(add("v"))).reason).toBe("SEND_LIMIT_REACHED");
    test.clock.move(ms);
    expect((await refusalOf(add("v"))).reason).toBe("SEND_LIMIT_REACHED");
  });

  it("back a little holds the time until it catches up, and back by more is followed", () => {
    let time = 100 * minute;
    const now = forwards(() => time);
    const at = (minutes: number) => {
      time = minutes * minute;
      return now() / minute;
    };
    expect([at(100), at(101), at(92), at(100), at(102), at(90), at(91), at(1_000), at(100)]).toEqual([
      100, 101, 101, 101, 102, 90, 91, 1_000, 100,
    ]);
  });
});

describe("F10 a process that is paused", () => {
  it("loses no write, refuses expired codes, and accepts a live one once", {
    timeout: 120_000,
  }, async () => {
    const dataDir = join(temporaryFolder(), "data");
    const load = new StorageLoad(await adminToken(dataDir));
    const clock = shiftedClock();
    const server = await startLoaded(dataDir, { COUNTERSIGN_CODE_TTL: "30s", ...clock.environment });
    await load.prepare(server);
    const users = createClient(UserService, withToken(transport(server.origin, "gRPC"), load.token));
    const verify = (code: { otpEmailId: string; code: string }, timeoutMs = 30_000) =>
      outcomeOf(users.verifyOTPEmail({ userId: "demo-user", ...code }, { timeoutMs }));
    const expired = await addPending(users, "demo-user");
    load.start(server);
    await sleep(300);
    const pauseFor = async (ms: number, meanwhile: () => Promise<void>) => {
      server.child.kill("SIGSTOP");
      await Promise.all([sleep(ms), meanwhile()]);
      server.child.kill("SIGCONT");
      const before = load.acknowledged;
      await expect.poll(() => load.acknowledged, { timeout: 10_000 }).toBeGreaterThan(before + 100);
    };
    await pauseFor(rounds(500, 31_000), async () => {
      if (!isSoak) clock.shift(31_000);
    });
    expect(await verify(expired)).toBe("CODE_EXPIRED");
    // A call during the pause times out, and may or may not take effect.
    const live = await addPending(users, "demo-user", "live@mouse.com");
    await pauseFor(500, async () => {
      expect(await verify(live, 200)).toBe("DeadlineExceeded without a reason");
    });
    expect(await verify(live)).toMatch(/^(OK|CODE_USED)$/);
    expect(await verify(live)).toBe("CODE_USED");
    await load.stop();
    expect(load.refused).toEqual([]);
    load.checkDatabase(databaseOf(dataDir));
  });
});
