/** Numbers from 0 to 1, the same for the same seed (a linear congruential generator: Knuth, TAOCP 2, §3.3.4, of MMIX). */
export function randomFrom(seed: number): () => number {
  let state = BigInt(seed);
  const step = () => {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n);
    return Number(state >> 11n) / 2 ** 53;
  };
  step();
  return step;
}

/** The time to the next of events that come independently, so many in a unit of time. */
export function exponential(rate: number, random: () => number): number {
  return -Math.log(1 - random()) / rate;
}
