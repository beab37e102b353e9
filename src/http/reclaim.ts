import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** So many requests have at most 4 MB of header fields. */
const everyRequests = 256;
const growthBytesMax = 32 * 1024 * 1024;

/**
 * Keeps what HTTP/2 requests leave behind within bounds. Returns what is to be called for each of them.
 *
 * Node makes every longer header value a string outside of the heap of V8. V8 keeps such strings with its old objects,
 * which it looks at last, and does not count their bytes when it decides whether to: under a flood of headers of 15 KB it
 * held 200 to 300 MB of them without one full collection (Node 20.20, 40 MB of heap). One such collection frees all of
 * them, in 50 to 100 ms; requests of the usual length leave so little behind that V8 itself comes first.
 */
export function createReclaim(): () => void {
  let requests = 0;
  let keptBytes = 0;
  return () => {
    requests += 1;
    if (requests % everyRequests !== 0) return;
    const bytes = getHeapStatistics().external_memory;
    keptBytes = Math.min(keptBytes, bytes);
    if (bytes - keptBytes < growthBytesMax) return;
    collect();
    // What is still there is in use by somebody, and no reason to look again.
    keptBytes = getHeapStatistics().external_memory;
  };
}

let gc: (() => void) | undefined;

function collect(): void {
  if (gc === undefined) {
    // The one way to get at it in a process that was started without the flag.
    setFlagsFromString("--expose-gc");
    gc = runInNewContext("gc") as () => void;
    setFlagsFromString("--no-expose-gc");
  }
  gc();
}
