/** Reproducible numbers in [0, 1): a linear congruential generator with the constants of MMIX (Knuth, TAOCP 2, §3.3.4). */
export function randomFrom(seed: number): () => number {
  let state = BigInt(seed);
  const step = () => {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n);
    return Number(state >> 11n) / 2 ** 53;
  };
  step();
  return step;
}

/** The time until the next of independent events, with so many in a unit of time (exponential distribution). */
export function exponential(rate: number, random: () => number): number {
  return -Math.log(1 - random()) / rate;
}
