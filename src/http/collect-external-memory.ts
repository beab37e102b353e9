import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** This many requests have at most 4 MB of headers. */
const requestsPerCheck = 256;
const growthBytesMax = 32 * 1024 * 1024;

/**
 * Bounds the memory that the headers of HTTP/2 requests leave behind. Returns a function to call for each request.
 *
 * Node creates longer header values as strings outside of the V8 heap. V8 frees those only in a full garbage collection, but
 * ignores their size when it decides to run one, so a flood of long headers takes hundreds of megabytes
 * (docs/performance.md). Requests with ordinary headers never grow that much between the collections of V8 itself.
 */
export function createExternalMemoryCollector(): () => void {
  let requests = 0;
  let bytesInUse = 0;
  return () => {
    requests += 1;
    if (requests % requestsPerCheck !== 0) return;
    const bytes = getHeapStatistics().external_memory;
    bytesInUse = Math.min(bytesInUse, bytes);
    if (bytes - bytesInUse < growthBytesMax) return;
    collectGarbage();
    bytesInUse = getHeapStatistics().external_memory;
  };
}

let gc: (() => void) | undefined;

/** Runs a full garbage collection. `gc` exists only in contexts that are created while --expose-gc is set. */
function collectGarbage(): void {
  if (gc === undefined) {
    setFlagsFromString("--expose-gc");
    gc = runInNewContext("gc") as () => void;
    setFlagsFromString("--no-expose-gc");
  }
  gc();
}
