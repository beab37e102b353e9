export interface Batcher {
  /** Number of callers that are waiting. */
  readonly waiting: number;
  /** Resolves together with all other calls of the batch. */
  next(): Promise<void>;
}

/** How long the first caller waits for others, in milliseconds. */
const batchMs = 10;

/**
 * Batches callers that arrive within a few milliseconds, so that their writes share a commit.
 *
 * @param enough size at which a batch is complete before its time.
 */
export function createBatcher(enough: () => number): Batcher {
  let waiting: (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    const batch = waiting;
    waiting = [];
    for (const resolve of batch) resolve();
  }

  return {
    get waiting() {
      return waiting.length;
    },
    next: () =>
      new Promise<void>((resolve) => {
        waiting.push(resolve);
        if (waiting.length >= enough()) flush();
        else timer ??= setTimeout(flush, batchMs);
      }),
  };
}
