import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import type { App } from "../app/app.ts";
import { exitCodes } from "./exit-codes.ts";

/** Time to answer the calls in flight after the storage has failed. */
const lastRepliesMs = 250;

/**
 * Runs a server until SIGTERM or SIGINT, then drains it. A signal during the start takes effect after it. A second signal
 * ends the process at once, and so does a storage that fails.
 */
export async function runServer(start: () => Promise<App>): Promise<void> {
  keepHeapSmall();
  const stopped = new Promise<void>((resolve) => {
    let isStopping = false;
    const stop = () => {
      if (isStopping) process.exit(exitCodes.failed);
      isStopping = true;
      resolve();
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
  });
  const app = await start();
  void app.storageFailed.then(async () => {
    await sleep(lastRepliesMs);
    // Nothing is closed: that would write to the disk that failed.
    process.exit(exitCodes.storageFailed);
  });
  await stopped;
  await app[Symbol.asyncDispose]();
}

/**
 * Makes V8 collect garbage when the heap has grown by a fifth. By default it waits until the heap is several times as large,
 * which takes more memory and is no faster: docs/performance.md.
 */
function keepHeapSmall(): void {
  setFlagsFromString("--heap-growing-percent=20");
}
