import { setTimeout as sleep } from "node:timers/promises";

/** Polls until `read` returns a value other than undefined or false. Throws after 15 s. @param what for the error. */
export async function waitFor<T>(
  what: string,
  read: () => T | undefined | false | Promise<T | undefined | false>,
) {
  for (const end = performance.now() + 15_000; performance.now() < end; await sleep(5)) {
    const value = await read();
    if (value !== undefined && value !== false) return value;
  }
  throw new Error(`timed out waiting until ${what}`);
}
