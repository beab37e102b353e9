import type { NodeRequest } from "./node-http.ts";
import { canceled, tooLarge } from "./wire-error.ts";

export interface BodyLimits {
  /** Of the body. */
  readonly bytesMax: number;
  /** What a body of `bytesMax` comes to as a message: the caller is told this. */
  readonly messageBytesMax: number;
  /** Looks at the first bytes as soon as there are 8 of them. @throws ConnectError to read no further. */
  readonly checkStart?: ((start: Uint8Array) => void) | undefined;
}

const startBytes = 8;
/** A body of many tiny chunks would take many times its length in memory. */
const chunksMax = 256;

/**
 * Reads a whole body. `signal` ends the wait, with its reason.
 *
 * @throws RESOURCE_EXHAUSTED as soon as the body is too long, or says that it will be; CANCELED if it breaks off.
 */
export async function readBody(
  request: NodeRequest,
  { bytesMax, messageBytesMax, checkStart }: BodyLimits,
  signal: AbortSignal,
): Promise<Uint8Array> {
  signal.throwIfAborted();
  if (request.destroyed) throw canceled();
  if (Number(request.headers["content-length"] ?? 0) > bytesMax) throw tooLarge(messageBytesMax);
  return await new Promise((resolve, reject) => {
    let chunks: Buffer[] = [];
    let length = 0;
    let isChecked = checkStart === undefined;

    const join = () => (chunks.length === 1 ? (chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(chunks));
    const read = (chunk: Buffer) => {
      length += chunk.length;
      chunks.push(chunk);
      if (length > bytesMax) return stop(tooLarge(messageBytesMax));
      if (chunks.length === chunksMax) chunks = [join()];
      if (isChecked || length < startBytes) return;
      isChecked = true;
      try {
        checkStart?.(join());
      } catch (error) {
        stop(error);
      }
    };
    const end = () => {
      forget();
      resolve(join());
    };
    const breakOff = () => stop(canceled());
    const abort = () => stop(signal.reason);
    const stop = (reason: unknown) => {
      forget();
      request.pause();
      reject(reason);
    };
    const forget = () => {
      request.off("data", read).off("end", end).off("error", breakOff).off("close", breakOff);
      signal.removeEventListener("abort", abort);
    };
    request.on("data", read).on("end", end).on("error", breakOff).on("close", breakOff);
    signal.addEventListener("abort", abort);
  });
}
