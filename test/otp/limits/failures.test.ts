import { describe, expect, it } from "vitest";
import { defaultPolicy } from "../../../src/config/limits.ts";
import {
  clearedFailures,
  type Failures,
  failuresLeft,
  withFailure,
} from "../../../src/otp/limits/failures.ts";
import { guessesPerDay } from "../../../src/otp/policy.ts";

const minute = 60_000;
const day = 1440 * minute;
const { attempts } = defaultPolicy;
const { attempts: _atCode, ...none } = clearedFailures;

/** The failures after a wrong code at each of these times, in minutes. */
function failAt(...minutes: number[]): Failures {
  return minutes.reduce<Failures>((before, at) => withFailure(attempts, at * minute, before), none);
}

const times = (count: number, at = 0) => Array.from({ length: count }, () => at);

describe("withFailure", () => {
  it.each<[string, number[], number | null, number]>([
    ["doesn't lock after nine at once", times(9), null, 0],
    ["locks for 5 minutes after ten at once", times(10), 5, 1],
    ["locks for 10 minutes after an eleventh", [...times(10), 5], 15, 2],
    ["locks for 40 minutes after a thirteenth", [...times(10), 5, 15, 35], 75, 4],
    ["locks after ten within an hour", [0, ...times(8, 58), 59], 64, 1],
    ["doesn't lock after ten in just over an hour", [0, ...times(9, 60)], null, 0],
    ["doesn't count failures of more than an hour ago", [...times(5), ...times(9, 60)], null, 0],
  ])("%s", (_name, minutes, lockedUntil, lockCount) => {
    expect(failAt(...minutes)).toMatchObject({
      failures: minutes.length,
      locked_until: lockedUntil === null ? null : lockedUntil * minute,
      lock_count: lockCount,
    });
  });

  it("locks for the longest time at the hundredth in a row and at each further one", () => {
    const slow = Array.from({ length: 99 }, (_, i) => i * 10);
    expect(failAt(...slow).locked_until).toBeNull();
    expect(failAt(...slow, 990).locked_until).toBe(990 * minute + day);
    expect(failAt(...slow, 990, 5000).locked_until).toBe(5000 * minute + day);
  });

  it("keeps only as many times as the hourly limit needs", () => {
    expect(JSON.parse(failAt(...times(50)).failure_times)).toHaveLength(10);
  });

  it("allows an attacker no more guesses a day than the policy computes", () => {
    const { byHour, inRow } = guessesPerDay(defaultPolicy, defaultPolicy.login);
    for (const perHour of [1, 2, 5, 9, 10]) {
      let row = none as Failures;
      let guesses = 0;
      let time = 0;
      while (time < day) {
        // Spread evenly over each hour, or as fast as the locks allow.
        row = withFailure(attempts, time, row);
        guesses++;
        const next = perHour === 10 ? time : time + (60 * minute) / perHour;
        time = Math.max(next, row.locked_until ?? 0);
      }
      expect(guesses).toBeLessThanOrEqual(Math.min(byHour, inRow));
    }
  });
});

describe("failuresLeft", () => {
  it.each<[string, number[], number, number]>([
    ["no failures", [], 0, 10],
    ["three failures", times(3), 0, 7],
    ["three failures an hour ago", times(3), 60, 10],
    ["ten failures and the lock", times(10), 5, 1],
    ["ten failures and an hour", times(10), 60, 10],
  ])("counts what is left after %s", (_name, minutes, now, left) => {
    expect(failuresLeft(attempts, now * minute, failAt(...minutes))).toBe(left);
  });
});
