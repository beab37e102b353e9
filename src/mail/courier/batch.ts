export interface Batcher {
  /** How many wait. */
  readonly waiting: number;
  /** Resolves when it is time to go on. */
  next(): Promise<void>;
}

/** How long the first waits for others, in milliseconds. */
const batchMs = 10;

/**
 * Lets those who come within a few milliseconds go on together, so that what they write shares a commit.
 *
 * @param enough when this many have come they go on at once.
 */
export function createBatcher(enough: () => number): Batcher {
  let waiting: (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;

  function go(): void {
    clearTimeout(timer);
    timer = undefined;
    const batch = waiting;
    waiting = [];
    for (const goOn of batch) goOn();
  }

  return {
    get waiting() {
      return waiting.length;
    },
    next: () =>
      new Promise<void>((resolve) => {
        waiting.push(resolve);
        if (waiting.length >= enough()) go();
        else timer ??= setTimeout(go, batchMs);
      }),
  };
}
