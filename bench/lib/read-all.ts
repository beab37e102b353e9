import type { Readable } from "node:stream";

/** Calls back with the whole body. The least that a server can do: no limit, no deadline, no check. */
export function readAll(stream: Readable, done: (body: Buffer) => void): void {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  stream.on("end", () => done(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)));
}
