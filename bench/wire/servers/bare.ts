import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { Readable } from "node:stream";

/** Calls back with the whole body. The least that a server can do: no limit, no deadline, no check. */
export function readAll(stream: Readable, done: (body: Buffer) => void): void {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  stream.on("end", () => done(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)));
}

/** The floor of every protocol with JSON: parse, build the reply, write. */
export function echoJson(
  request: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
): void {
  readAll(request, (body) => {
    const { text } = JSON.parse(body.toString());
    // As a string: node:http sends it in one piece with the header, which takes a tenth less than a buffer.
    const reply = JSON.stringify({ text });
    const header = { "content-type": "application/json", "content-length": Buffer.byteLength(reply) };
    // Both classes have these two, with signatures that TypeScript cannot unite.
    (response as ServerResponse).writeHead(200, header);
    (response as ServerResponse).end(reply);
  });
}
