import type { NodeRequest } from "./node-http.ts";
import { canceled, tooLarge } from "./wire-error.ts";

export interface BodyRules {
  /** Length of the body that holds the largest message. Defaults to the length of that message. */
  readonly bodyBytesMax?: number;
  /** Checks the first 8 bytes or more of a body. @throws ConnectError if there is no point in reading the rest. */
  checkStart?(start: Uint8Array): void;
}

/** What can interrupt reading a body. */
export interface Stoppable {
  readonly isStopped: boolean;
  readonly reason: unknown;
  onStop: ((reason: unknown) => void) | undefined;
}

const startBytes = 8;
/** Join chunks from here on: each tiny chunk takes many times its length in memory. */
const chunksMax = 256;

/**
 * Reads the body of a request. Rejects with the reason of `call` if that is stopped first.
 *
 * @param messageBytesMax the limit named in the error. Also limits the body, unless `rules.bodyBytesMax` is set.
 * @throws RESOURCE_EXHAUSTED as soon as the body or its Content-Length is too long; CANCELED if the client is gone.
 */
export function readBody(
  request: NodeRequest,
  rules: BodyRules,
  messageBytesMax: number,
  call: Stoppable,
): Promise<Uint8Array> {
  const bytesMax = rules.bodyBytesMax ?? messageBytesMax;
  if (call.isStopped) throw call.reason;
  if (request.destroyed) throw canceled();
  if (Number(request.headers["content-length"] ?? 0) > bytesMax) throw tooLarge(messageBytesMax);
  // Http2ServerRequest would only pass on what its stream reads, through a second buffer.
  const source = "stream" in request ? request.stream : request;
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = [];
    let length = 0;
    let isChecked = rules.checkStart === undefined;

    const join = () => (chunks.length === 1 ? (chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(chunks));
    const read = (chunk: Buffer) => {
      length += chunk.length;
      chunks.push(chunk);
      if (length > bytesMax) return stop(tooLarge(messageBytesMax));
      if (chunks.length === chunksMax) chunks = [join()];
      if (isChecked || length < startBytes) return;
      isChecked = true;
      try {
        rules.checkStart?.(join());
      } catch (error) {
        stop(error);
      }
    };
    const end = () => {
      removeListeners();
      resolve(join());
    };
    const stop = (reason: unknown) => {
      removeListeners();
      source.pause();
      reject(reason);
    };
    // An HTTP/2 stream, and with it every listener, stays in memory until the next full garbage collection.
    const removeListeners = () => {
      source.off("data", read).off("end", end);
      call.onStop = undefined;
    };
    source.on("data", read).on("end", end);
    call.onStop = stop;
  });
}
