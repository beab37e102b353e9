import { describe, expect, it } from "vitest";
import { defaultPolicy, guessProbabilityMax, guessProbabilityPerDay, lockMs } from "../../src/otp/policy.ts";

const minute = 60_000;

describe("guessProbabilityPerDay", () => {
  it("counts every attempt that the locks of a day leave", () => {
    // Locks of 5, 10, 20 … 640 minutes are over after 21.25 hours: nine rounds of five attempts.
    const probability = guessProbabilityPerDay(defaultPolicy);
    expect(probability).toBe(45 / 2 ** 40);
  });

  it("grows with the attempts and shrinks with the code", () => {
    const digits = (length: number, attemptsMax: number) =>
      guessProbabilityPerDay({
        ...defaultPolicy,
        enrolment: { ...defaultPolicy.enrolment, format: { alphabet: "digits", length }, attemptsMax },
      });
    expect(digits(6, 5)).toBeCloseTo(45e-6, 12);
    expect(digits(6, 5)).toBeLessThan(guessProbabilityMax);
    expect(digits(6, 20)).toBeGreaterThan(guessProbabilityMax);
    expect(digits(4, 5)).toBeGreaterThan(guessProbabilityMax);
  });

  it("counts a lock that does not grow", () => {
    const policy = { ...defaultPolicy, lockMsMin: minute, lockMsMax: minute };
    expect(guessProbabilityPerDay(policy)).toBe((5 * 24 * 60) / 2 ** 40);
  });
});

describe("lockMs", () => {
  it("doubles up to the longest", () => {
    const locks = [0, 1, 2, 8, 9, 60].map((count) => lockMs(defaultPolicy, count) / minute);
    expect(locks).toEqual([5, 10, 20, 1280, 1440, 1440]);
  });
});
