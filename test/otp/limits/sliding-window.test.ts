import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { consume, type RateLimit } from "../../../src/otp/limits/sliding-window.ts";
import { openTestStore } from "../../support/db/database.ts";

async function openHits() {
  const store = await openTestStore();
  return {
    store,
    take: (now: number, ...rateLimits: RateLimit[]) => store.write((trx) => consume(trx, now, rateLimits)),
  };
}

const rateLimit = (name: string, slotMs: number, ...windows: [number, number][]): RateLimit => ({
  digests: [name],
  windows: windows.map(([limit, windowMs]) => ({ limit, windowMs })),
  slotMs,
});

describe("consume", () => {
  it("slides: a hit makes room for another exactly when it has left the window", async () => {
    const { take } = await openHits();
    const two = rateLimit("a", 1, [2, 100]);
    expect(await take(1_000, two)).toBeUndefined();
    expect(await take(1_060, two)).toBeUndefined();
    expect(await take(1_060, two)).toMatchObject({ ms: 40 });
    expect(await take(1_099, two)).toMatchObject({ ms: 1 });
    expect(await take(1_100, two)).toBeUndefined();
    expect(await take(1_101, two)).toMatchObject({ ms: 59 });
  });

  it("counts in no log if there is no room in one, and tells of the longest wait", async () => {
    const { take, store } = await openHits();
    const a = rateLimit("a", 1, [1, 10], [2, 1_000]);
    const b = rateLimit("b", 1, [1, 50]);
    await take(0, a, b);
    expect(await take(0, a, b)).toEqual({ ms: 50, window: b.windows[0] });
    expect(await take(20, a)).toBeUndefined();
    expect(await take(25, a, b)).toEqual({ ms: 975, window: a.windows[1] });
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

  it("finds hits under every digest, and writes under the first", async () => {
    const { take } = await openHits();
    const old = rateLimit("old", 1, [1, 100]);
    await take(0, old);
    expect(await take(1, { ...old, digests: ["new", "old"] })).toMatchObject({ ms: 99 });
    await take(100, { ...old, digests: ["new", "old"] });
    expect(await take(101, old)).toBeUndefined();
  });

  it.each([1, 7, 60])(
    "at no time lets more through than the limits say, and its waits are true (slots of %i ms)",
    { timeout: 120_000 },
    async (slotMs) => {
      const { take, store } = await openHits();
      const limits: [number, number][] = [
        [2, 50],
        [5, 300],
      ];
      const steps = fc.array(fc.integer({ min: 0, max: 120 }), { minLength: 1, maxLength: 40 });
      await fc.assert(
        fc.asyncProperty(steps, async (pauses) => {
          await store.write((trx) => trx.deleteFrom("hits").execute());
          const taken: number[] = [];
          let now = 1_000;
          for (const pause of pauses) {
            now += pause;
            const wait = await take(now, rateLimit("a", slotMs, ...limits));
            if (wait) {
              expect(wait.ms).toBeGreaterThan(0);
              now += wait.ms;
              expect(await take(now, rateLimit("a", slotMs, ...limits))).toBeUndefined();
            }
            taken.push(now);
            for (const [limit, windowMs] of limits) {
              expect(taken.filter((time) => time > now - windowMs).length).toBeLessThanOrEqual(limit);
            }
          }
        }),
        { numRuns: 15 },
      );
    },
  );
});
