import { describe, expect, it } from "vitest";
import { type Demand, mailsOf, ratesOf, tablesOf } from "../../bench/simulation/demand.ts";
import { meanLockWaitMs, simulateLock } from "../../bench/simulation/lock.ts";
import { randomFrom } from "../../bench/simulation/random.ts";
import { rateAt, simulateRelay } from "../../bench/simulation/relay.ts";

const demand: Demand = {
  users: 1_000,
  loginsPerSecond: 10,
  meanToPeak: 0.5,
  enrolmentsPerDay: 43_200,
  eventDays: 10,
};

describe("the needs of a demand", () => {
  it("have as many rows as are added while they are kept", () => {
    const size = { rowBytes: 300, indexBytes: 100, rows: 2 };
    const names = ["users", "otp_emails", "challenges", "outbox", "events", "suppressions"];
    const needs = tablesOf(
      demand,
      names.map((table) => ({ table, ...size })),
    );
    // 432,000 logins and 43,200 enrolments a day, with one mail each.
    expect(mailsOf(demand).perDay).toBe(475_200);
    expect(Object.fromEntries(needs.map(({ table, rows }) => [table, rows]))).toEqual({
      users: 1_000,
      otp_emails: 1_000,
      challenges: 432_000,
      outbox: 7 * 475_200,
      events: 3 * 10 * 475_200,
    });
    expect(needs[0]).toMatchObject({ bytes: 200_000, indexBytes: 50_000, insertsPerSecond: 1 });
  });

  it("have as many cores as the requests of a second keep busy", () => {
    const login = { nodeUs: 200, databaseUs: 100, walBytes: 1_000 };
    const queued = { nodeUs: 100, databaseUs: 50, walBytes: 500 };
    const rates = ratesOf({ ...demand, loginsPerSecond: 999 }, login, queued, 500);
    expect(rates.nodeCores).toBeCloseTo(1);
    expect(rates.databaseCores).toBeCloseTo(0.35);
    expect(rates.walBytesPerSecond).toBeCloseTo(3_500_000);
  });
});

describe("a lock that all calls share", () => {
  it.each([0.2, 0.5, 0.9])(
    "has the mean wait of the Pollaczek-Khinchine formula when held %d of the time",
    (share) => {
      const wait = simulateLock(share * 250, 4, 1_000_000, randomFrom(7));
      expect(wait.utilisation).toBeCloseTo(share);
      const expected = meanLockWaitMs(share * 250, 4);
      expect(Math.abs(wait.meanMs - expected) / expected).toBeLessThan(0.05);
      expect(wait.p99Ms).toBeGreaterThan(wait.meanMs);
    },
  );

  it("has an infinite mean wait when it is held all the time", () => {
    expect(meanLockWaitMs(250, 4)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("a day at a relay", () => {
  it("has its peak at noon, and the given mean", () => {
    expect(rateAt(43_200, 100, 0.6)).toBeCloseTo(100);
    expect(rateAt(0, 100, 0.6)).toBeCloseTo(20);
    const hours = Array.from({ length: 24 }, (_, hour) => rateAt(hour * 3_600, 100, 0.6));
    expect(hours.reduce((sum, rate) => sum + rate) / 24).toBeCloseTo(60);
  });

  it("sends all mails at once if the relay accepts the peak", () => {
    const day = simulateRelay(100, 0.6, 200, 300, randomFrom(1));
    expect(day).toMatchObject({ expired: 0, waitP50S: 0, waitP99S: 0, sent: day.queued });
    expect(Math.abs(day.queued / (60 * 86_400) - 1)).toBeLessThan(0.01);
  });

  it("drops mails whose codes expire in the queue if the relay accepts too few", () => {
    const day = simulateRelay(100, 0.6, 80, 300, randomFrom(1));
    expect(day.sent + day.expired).toBe(day.queued);
    expect(day.expired).toBeGreaterThan(0);
    expect(day.waitP99S).toBeLessThanOrEqual(300);
    // Little's law: at the peak the queue holds what arrives in the lifetime of a code.
    expect(day.longest).toBeLessThan(300 * 100 + 1_000);
    expect(day.longest).toBeGreaterThan(300 * 80 - 1_000);
  });

  it("is the same for the same seed", () => {
    expect(simulateRelay(100, 0.6, 80, 300, randomFrom(5))).toEqual(
      simulateRelay(100, 0.6, 80, 300, randomFrom(5)),
    );
    expect(simulateRelay(100, 0.6, 80, 300, randomFrom(6))).not.toEqual(
      simulateRelay(100, 0.6, 80, 300, randomFrom(5)),
    );
  });
});
