import { describe, expect, it } from "vitest";
import { defaultPolicy } from "../../src/config/limits.ts";
import {
  type AttemptPolicy,
  authenticatorGuessProbability,
  guessesPerDay,
  guessProbabilityMax,
  guessProbabilityPerDay,
  lockMs,
} from "../../src/otp/policy.ts";

const minute = 60_000;
const { login, enrolment, attempts, mails } = defaultPolicy;

describe("guessesPerDay", () => {
  it("is 100 with the defaults, both in a row and by mails", () => {
    // byHour: 9 in each of 24 hours, and 9 locks. The locks of 5, 10, 20 … 640 minutes end after 21.25 hours.
    expect(guessesPerDay(defaultPolicy, login)).toEqual({
      byHour: 225,
      inRow: 100,
      byMails: 100,
      limit: 100,
    });
  });

  it.each<[string, Partial<AttemptPolicy>, number, number]>([
    ["fewer an hour", { perHourMax: 2 }, 24 + 9, 100],
    ["a lock that does not grow", { lockMsMin: minute, lockMsMax: minute }, 216 + 1440, 100 + 1439],
    ["a longest lock of an hour", { lockMsMax: 60 * minute }, 216 + 27, 100 + 23],
    ["a longest lock of a week", { lockMsMax: 7 * 1440 * minute }, 225, 100],
    ["more in a row", { inRowMax: 200 }, 225, 200],
  ])("is computed with %s", (_name, changed, byHour, inRow) => {
    const policy = { ...defaultPolicy, attempts: { ...attempts, ...changed } };
    expect(guessesPerDay(policy, login)).toMatchObject({ byHour, inRow });
  });
});

describe("guessProbabilityPerDay", () => {
  it("is 1 in 10,000 for a default login code, and negligible for an enrolment code", () => {
    expect(guessProbabilityPerDay(defaultPolicy, login)).toBe(guessProbabilityMax);
    expect(guessProbabilityPerDay(defaultPolicy, enrolment)).toBe(100 / 2 ** 40);
  });

  it.each([
    ["more mails a day", { mails: { ...mails, perDayMax: 21 } }],
    ["more in a row, and fewer mails", { attempts: { ...attempts, inRowMax: 101 } }],
    ["shorter locks", { attempts: { ...attempts, lockMsMax: 12 * 60 * minute } }],
  ])("is too high for a login code with %s", (_name, changed) => {
    const policy = { ...defaultPolicy, ...changed };
    expect(guessProbabilityPerDay(policy, login)).toBeGreaterThan(guessProbabilityMax);
    expect(guessProbabilityPerDay(policy, enrolment)).toBeLessThan(guessProbabilityMax);
  });

  it("is never above 1", () => {
    const code = { ...login, format: { alphabet: "digits", length: 1 } } as const;
    expect(guessProbabilityPerDay(defaultPolicy, code)).toBe(1);
  });
});

describe("authenticatorGuessProbability", () => {
  const digits = (length: number) => ({ ...login, format: { alphabet: "digits", length } }) as const;

  it.each([
    ["the login code", digits(6), digits(8), 1e-4],
    ["the enrolment code", digits(8), digits(6), 1e-4],
    ["either", digits(8), digits(8), 1e-6],
  ])("is that of the code that is easier to guess: %s", (_name, login, enrolment, probability) => {
    expect(authenticatorGuessProbability({ ...defaultPolicy, login, enrolment })).toBeCloseTo(
      probability,
      12,
    );
  });
});

describe("lockMs", () => {
  it("doubles up to the maximum", () => {
    const locks = [0, 1, 2, 8, 9, 60].map((count) => lockMs(attempts, count) / minute);
    expect(locks).toEqual([5, 10, 20, 1280, 1440, 1440]);
  });
});
