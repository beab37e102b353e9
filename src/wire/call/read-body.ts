import type { NodeRequest } from "./node-http.ts";
import { canceled, tooLarge } from "./wire-error.ts";

export interface BodyRules {
  /** How long the body of the largest message is. As long as the message unless given. */
  readonly bodyBytesMax?: number;
  /** Looks at the first bytes of a body, 8 or more. @throws ConnectError if the rest need not be read. */
  checkStart?(start: Uint8Array): void;
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
 * @param messageBytesMax what a body of `bodyBytesMax` comes to as a message: the caller is told this.
 * @throws RESOURCE_EXHAUSTED as soon as the body is too long, or says that it will be; CANCELED if it breaks off.
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
  // The request of HTTP/2 hands on what its stream reads, by way of a second queue.
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
      forget();
      resolve(join());
    };
    const stop = (reason: unknown) => {
      forget();
      source.pause();
      reject(reason);
    };
    // A stream of HTTP/2 outlives its call, until all of memory is collected, and with it whoever listens.
    const forget = () => {
      source.off("data", read).off("end", end);
      call.onStop = undefined;
    };
    source.on("data", read).on("end", end);
    call.onStop = stop;
  });
}
