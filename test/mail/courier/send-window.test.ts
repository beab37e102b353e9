import { describe, expect, it } from "vitest";
import {
  createSendWindow,
  isOverload,
  isThrottled,
  isUnreached,
} from "../../../src/mail/courier/send-window.ts";

/** Sends full rounds of mails, and returns the size after each. */
function sizesOf(
  window: ReturnType<typeof createSendWindow>,
  outcomes: ("taken" | "overloaded")[],
): number[] {
  return outcomes.map((outcome) => {
    const round = Array.from({ length: window.size }, () => window.begin());
    for (const end of round) end(outcome);
    return window.size;
  });
}

const times = <T>(count: number, value: T): T[] => Array(count).fill(value);

describe("the send window", () => {
  it("starts with 2 and doubles each round up to 20", () => {
    const window = createSendWindow(20);
    expect(window.size).toBe(2);
    expect(sizesOf(window, times(5, "taken"))).toEqual([4, 8, 16, 20, 20]);
  });

  it("halves once for a failed round, then grows by one per round", () => {
    const window = createSendWindow(20);
    sizesOf(window, times(4, "taken"));
    expect(sizesOf(window, ["overloaded", ...times(3, "taken" as const)])).toEqual([10, 10, 11, 12]);
  });

  it("never shrinks below 2, and grows again from there", () => {
    const window = createSendWindow(20);
    expect(sizesOf(window, times(5, "overloaded"))).toEqual([2, 2, 2, 2, 2]);
    expect(sizesOf(window, times(4, "taken")).at(-1)).toBeGreaterThan(2);
  });

  it("halves again for a mail that was started after the back-off", () => {
    const window = createSendWindow(20);
    sizesOf(window, times(4, "taken"));
    const before = window.begin();
    window.begin()("overloaded");
    before("overloaded");
    expect(window.size).toBe(10);
    window.begin()("overloaded");
    expect(window.size).toBe(5);
  });

  it("never exceeds its maximum", () => {
    expect(createSendWindow(1).size).toBe(1);
    expect(sizesOf(createSendWindow(4), times(6, "taken")).at(-1)).toBe(4);
  });
});

it.each([
  ["421 4.3.2 greeting", true],
  ["421 data", true],
  ["450 4.7.1 rcpt", true],
  ["451 4.7.0 mail", true],
  ["connection", true],
  ["timeout", true],
  ["dns", true],
  ["tls", true],
  ["webhook 429", true],
  ["webhook 503", true],
  ["webhook connection", true],
  ["ses 429", true],
  ["webhook 401", false],
  ["webhook 500", false],
  ["450 4.2.1 rcpt", false],
  ["452 4.2.2 rcpt", false],
  ["451 data", false],
  ["aborted", false],
  ["compose", false],
])("isOverload of %s is %s", (reason, expected) => {
  expect(isOverload(reason)).toBe(expected);
});

it.each<[string, boolean]>([
  ["connection", true],
  ["timeout", true],
  ["dns", true],
  ["tls", true],
  ["webhook connection", true],
  ["ses connection", true],
  ["webhook 503", false],
  ["421 4.3.2 greeting", false],
  ["451 4.7.1 rcpt", false],
  ["storage", false],
])("isUnreached of %s is %s", (reason, expected) => {
  expect(isUnreached(reason)).toBe(expected);
});

it.each([
  ["421 4.7.0 rcpt", true],
  ["421 greeting", true],
  ["webhook 429", true],
  ["ses 503", true],
  ["451 4.7.1 rcpt", false],
  ["452 4.2.2 rcpt", false],
  ["4210", false],
  ["connection", false],
  ["tls", false],
])("isThrottled of %s is %s", (reason, expected) => {
  expect(isThrottled(reason)).toBe(expected);
});
