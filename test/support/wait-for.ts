import { setTimeout as sleep } from "node:timers/promises";

/** Waits until the value is there and returns it. Fails after 15 s. */
export async function waitFor<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
) {
  for (const end = performance.now() + 15_000; performance.now() < end; await sleep(5)) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
  }
  throw new Error(`waited in vain: ${what}`);
}
