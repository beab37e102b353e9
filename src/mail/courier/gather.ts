export interface Gatherer {
  /** How many wait. */
  readonly waiting: number;
  /** Resolves when it is time to go on. */
  gather(): Promise<void>;
}

/** How long the first waits for others, in milliseconds. */
const gatherMs = 10;

/**
 * Lets those who come within a few milliseconds go on together, so that what they write shares a commit.
 *
 * @param enough when this many have come they go on at once.
 */
export function createGatherer(enough: () => number): Gatherer {
  let waiting: (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;

  function go(): void {
    clearTimeout(timer);
    timer = undefined;
    const gathered = waiting;
    waiting = [];
    for (const goOn of gathered) goOn();
  }

  return {
    get waiting() {
      return waiting.length;
    },
    gather: () =>
      new Promise<void>((resolve) => {
        waiting.push(resolve);
        if (waiting.length >= enough()) go();
        else timer ??= setTimeout(go, gatherMs);
      }),
  };
}
