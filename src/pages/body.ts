import type { NodeRequest } from "../http/reply.ts";

/**
 * Reads the body of a request. Never rejects.
 *
 * @returns `too large` as soon as it has over `bytesMax` bytes: the rest is discarded, so that the client can read the reply.
 *   `gone`: the client has left, no reply is needed.
 */
export function readBody(request: NodeRequest, bytesMax: number): Promise<Buffer | "too large" | "gone"> {
  return new Promise((resolve) => {
    // One buffer: a list of many tiny chunks would take many times their length.
    const body = Buffer.allocUnsafe(bytesMax);
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      if (bytes + chunk.length <= bytesMax) bytes += chunk.copy(body, bytes);
      else resolve("too large");
    });
    request.on("end", () => resolve(body.subarray(0, bytes)));
    request.on("close", () => resolve("gone"));
  });
}
