/** How long the first waits for others, in milliseconds. */
const gatherMs = 10;

/**
 * Lets those who come within a few milliseconds go on together, so that what they write shares a commit.
 *
 * @param enough when this many have come they go on at once.
 */
export function createGatherer(enough: () => number): () => Promise<void> {
  let waiting: (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;

  function go(): void {
    clearTimeout(timer);
    timer = undefined;
    const gathered = waiting;
    waiting = [];
    for (const goOn of gathered) goOn();
  }

  return () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      if (waiting.length >= enough()) go();
      else timer ??= setTimeout(go, gatherMs);
    });
}
