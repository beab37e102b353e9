import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { consume, type RateLimit } from "../../../src/otp/limits/sliding-window.ts";
import { openTestStore } from "../../support/db/database.ts";

async function openLimits() {
  const store = await openTestStore();
  return {
    store,
    consumeAt: (now: number, ...rateLimits: RateLimit[]) =>
      store.write((trx) => consume(trx, now, rateLimits)),
  };
}

const rateLimit = (name: string, slotMs: number, ...windows: [number, number][]): RateLimit => ({
  digests: [name],
  windows: windows.map(([limit, windowMs]) => ({ limit, windowMs })),
  slotMs,
});

describe("consume", () => {
  it("makes room for a hit exactly when an older one leaves the window", async () => {
    const { consumeAt } = await openLimits();
    const two = rateLimit("a", 1, [2, 100]);
    expect(await consumeAt(1_000, two)).toBeUndefined();
    expect(await consumeAt(1_060, two)).toBeUndefined();
    expect(await consumeAt(1_060, two)).toMatchObject({ ms: 40 });
    expect(await consumeAt(1_099, two)).toMatchObject({ ms: 1 });
    expect(await consumeAt(1_100, two)).toBeUndefined();
    expect(await consumeAt(1_101, two)).toMatchObject({ ms: 59 });
  });

  it("consumes nothing if one limit is reached, and returns the longest wait", async () => {
    const { consumeAt, store } = await openLimits();
    const a = rateLimit("a", 1, [1, 10], [2, 1_000]);
    const b = rateLimit("b", 1, [1, 50]);
    await consumeAt(0, a, b);
    expect(await consumeAt(0, a, b)).toEqual({ ms: 50, window: b.windows[0] });
    expect(await consumeAt(20, a)).toBeUndefined();
    expect(await consumeAt(25, a, b)).toEqual({ ms: 975, window: a.windows[1] });
    const rows = await store.db
      .selectFrom("hits")
      .select(["digest", "time"])
      .orderBy("time")
      .orderBy("digest")
      .execute();
    expect(rows).toEqual([
      { digest: "a", time: 0 },
      { digest: "b", time: 0 },
      { digest: "a", time: 20 },
    ]);
  });

  it("reads hits under every digest, and writes under the first", async () => {
    const { consumeAt } = await openLimits();
    const old = rateLimit("old", 1, [1, 100]);
    await consumeAt(0, old);
    expect(await consumeAt(1, { ...old, digests: ["new", "old"] })).toMatchObject({ ms: 99 });
    await consumeAt(100, { ...old, digests: ["new", "old"] });
    expect(await consumeAt(101, old)).toBeUndefined();
  });

  it.each([1, 7, 60])(
    "never exceeds a limit, and returns waits that suffice (slots of %i ms)",
    { timeout: 120_000 },
    async (slotMs) => {
      const { consumeAt, store } = await openLimits();
      const limits: [number, number][] = [
        [2, 50],
        [5, 300],
      ];
      const steps = fc.array(fc.integer({ min: 0, max: 120 }), { minLength: 1, maxLength: 40 });
      await fc.assert(
        fc.asyncProperty(steps, async (pauses) => {
          await store.write((trx) => trx.deleteFrom("hits").execute());
          const times: number[] = [];
          let now = 1_000;
          for (const pause of pauses) {
            now += pause;
            const wait = await consumeAt(now, rateLimit("a", slotMs, ...limits));
            if (wait) {
              expect(wait.ms).toBeGreaterThan(0);
              now += wait.ms;
              expect(await consumeAt(now, rateLimit("a", slotMs, ...limits))).toBeUndefined();
            }
            times.push(now);
            for (const [limit, windowMs] of limits) {
              expect(times.filter((time) => time > now - windowMs).length).toBeLessThanOrEqual(limit);
            }
          }
        }),
        { numRuns: 15 },
      );
    },
  );
});
