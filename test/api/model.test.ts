import fc from "fast-check";
import { describe, it } from "vitest";
import { firstSteps, lastSteps, stepOf } from "../support/model/arbitraries.ts";
import type { Step } from "../support/model/steps.ts";
import { startSystem } from "../support/model/system.ts";
import { makeWorld } from "../support/model/world.ts";
import { rounds } from "../support/soak.ts";

// Runs random steps against the service and a model, and compares them. To reproduce a failure, set COUNTERSIGN_SEED and
// COUNTERSIGN_PATH to the seed and path that it prints, and COUNTERSIGN_REPLAY_PATH to the replayPath after its steps.

const startTime = Date.parse("2026-11-23T09:00:00Z");
const stepsARunMax = 700;

/** Runs steps on a new system and model, and returns their number. */
async function play(steps: Iterable<Step>): Promise<number> {
  const world = makeWorld(startTime);
  const system = await startSystem(startTime);
  try {
    const all = [...firstSteps(), ...steps, ...lastSteps()];
    await fc.asyncModelRun(() => ({ model: world, real: system }), all);
    return system.steps;
  } finally {
    await system[Symbol.asyncDispose]();
  }
}

const { COUNTERSIGN_SEED, COUNTERSIGN_PATH: path, COUNTERSIGN_REPLAY_PATH: replayPath } = process.env;

// The same seed each time in `npm test`. `npm run soak` tries new ones.
const seed = rounds(20_261_123, Date.now() % 2 ** 31);
const played = { seed: Number(COUNTERSIGN_SEED ?? seed), stepsMin: rounds(1_500, 10_000) };

describe("the service behaves like the model", () => {
  it.each([played])(
    "in $stepsMin random steps starting with seed $seed",
    { timeout: rounds(300_000, 3_600_000) },
    async ({ seed, stepsMin }) => {
      for (let count = 0; count < stepsMin; seed++) {
        count += await playRandom(seed);
        if (path !== undefined) return;
      }
    },
  );
});

/** Runs random steps and returns their number. Shrinks a failure for a limited time before reporting it. */
async function playRandom(seed: number): Promise<number> {
  let count = 0;
  const steps = fc.commands([stepOf(seed)], { maxCommands: stepsARunMax, size: "max", replayPath });
  const property = fc.asyncProperty(steps, async (steps) => {
    count = await play(steps);
  });
  const interruptAfterTimeLimit = rounds(60_000, 600_000);
  await fc.assert(property, { seed, path, numRuns: 1, unbiased: true, interruptAfterTimeLimit });
  return count;
}
