import { describe, expect, it } from "vitest";
import { createCircuitBreaker } from "../../../src/mail/providers/circuit-breaker.ts";

const limits = { failuresMax: 3, restMs: 1_000, restMsMax: 3_000 };

function opened(now = 0) {
  const breaker = createCircuitBreaker(limits);
  for (let i = 0; i < limits.failuresMax; i++) breaker.leave(breaker.enter(now)!, "fails", now);
  return breaker;
}

describe("a circuit breaker", () => {
  it("stays closed below the maximum of consecutive failures", () => {
    const breaker = createCircuitBreaker(limits);
    for (const found of ["fails", "fails", "answers", "fails", "fails", "unknown"] as const) {
      breaker.leave(breaker.enter(0)!, found, 0);
    }
    expect(breaker.enter(0)).toBe("normal");
    expect(breaker.restsUntil).toBeUndefined();
  });

  it("opens at the maximum, until the rest is over", () => {
    const breaker = opened(500);
    expect(breaker.restsUntil).toBe(1_500);
    expect(breaker.enter(1_499)).toBeUndefined();
    expect(breaker.enter(1_500)).toBe("probe");
  });

  it("admits one probe at a time", () => {
    const breaker = opened();
    expect(breaker.enter(1_000)).toBe("probe");
    expect(breaker.enter(1_000)).toBeUndefined();
    breaker.leave("probe", "unknown", 1_000);
    expect(breaker.enter(1_000)).toBe("probe");
  });

  it("closes when the probe succeeds, and counts from zero", () => {
    const breaker = opened();
    breaker.leave(breaker.enter(1_000)!, "answers", 1_100);
    breaker.leave(breaker.enter(1_100)!, "fails", 1_100);
    expect(breaker.enter(1_100)).toBe("normal");
  });

  it("doubles the rest with each failed probe, up to the maximum", () => {
    const breaker = opened();
    const rests: number[] = [];
    for (let i = 0; i < 4; i++) {
      const now = breaker.restsUntil!;
      breaker.leave(breaker.enter(now)!, "fails", now);
      rests.push(breaker.restsUntil! - now);
    }
    expect(rests).toEqual([2_000, 3_000, 3_000, 3_000]);
  });

  it("starts with the shortest rest again after it was closed", () => {
    const breaker = opened();
    breaker.leave(breaker.enter(1_000)!, "fails", 1_000);
    breaker.leave(breaker.enter(3_000)!, "answers", 3_000);
    for (let i = 0; i < limits.failuresMax; i++) breaker.leave(breaker.enter(4_000)!, "fails", 4_000);
    expect(breaker.restsUntil).toBe(5_000);
  });

  it("does not prolong the rest for attempts from before it opened", () => {
    const breaker = opened();
    for (let i = 0; i < 10; i++) breaker.leave("normal", "fails", 900);
    expect(breaker.restsUntil).toBe(1_000);
  });

  it("does not prolong the rest when the clock is set back", () => {
    const breaker = opened(1_000_000);
    expect(breaker.enter(0)).toBe("probe");
  });
});
