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

/** What may end the wait for a body. */
export interface Stoppable {
  readonly isStopped: boolean;
  readonly reason: unknown;
  onStop: ((reason: unknown) => void) | undefined;
}

const startBytes = 8;
/** A body of many tiny chunks would take many times its length in memory. */
const chunksMax = 256;

/**
 * Reads a whole body. `call` ends the wait, with its reason.
 *
 * @throws RESOURCE_EXHAUSTED as soon as the body is too long, or says that it will be; CANCELED if it breaks off.
 */
export async function readBody(
  request: NodeRequest,
  { bytesMax, messageBytesMax, checkStart }: BodyLimits,
  call: Stoppable,
): Promise<Uint8Array> {
  if (call.isStopped) throw call.reason;
  if (request.destroyed) throw canceled();
  if (Number(request.headers["content-length"] ?? 0) > bytesMax) throw tooLarge(messageBytesMax);
  // The request of HTTP/2 hands on what its stream reads, by way of a second queue.
  const source = "stream" in request ? request.stream : request;
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
    const end = () => resolve(join());
    const stop = (reason: unknown) => {
      source.off("data", read).off("end", end);
      source.pause();
      reject(reason);
    };
    source.on("data", read).on("end", end);
    call.onStop = stop;
  });
}
