import { connect } from "node:net";
import type { Connection, ConnectionOptions } from "./connection.ts";

// Handwritten: client libraries need as much CPU a call as the fastest servers, and the client has one core, too.

/** Opens an HTTP/1.1 connection that sends one request at a time. */
export function openHttp1({ port, contentType, token }: ConnectionOptions): Connection {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  const common = [
    ` HTTP/1.1\r\nhost: 127.0.0.1:${port}`,
    `content-type: ${contentType}`,
    "connect-protocol-version: 1",
    `authorization: Bearer ${token}`,
    "content-length: ",
  ].join("\r\n");
  let received: Buffer = Buffer.alloc(0);
  let waiting: { resolve(body: Uint8Array): void; reject(error: Error): void } | undefined;

  function fail(error: Error): void {
    waiting?.reject(error);
    waiting = undefined;
  }
  socket.on("error", fail);
  socket.on("close", () => fail(new Error("the server closed the connection")));
  socket.on("data", (chunk) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    const body = bodyOf(received);
    if (body === undefined) return;
    const text = received;
    received = Buffer.alloc(0);
    const { resolve, reject } = waiting!;
    waiting = undefined;
    if (text.toString("latin1", 9, 12) === "200") resolve(body);
    else reject(new Error(`a call failed: ${text.toString().slice(0, 2000)}`));
  });
  return {
    send(path, body) {
      const head = `POST ${path}${common}${body.length}\r\n\r\n`;
      socket.write(Buffer.concat([Buffer.from(head, "latin1"), body]));
      return new Promise((resolve, reject) => {
        waiting = { resolve, reject };
      });
    },
    close: () => socket.destroy(),
  };
}

/** The body of a reply, or undefined until it is complete. Without pipelining nothing follows it. */
function bodyOf(reply: Buffer): Buffer | undefined {
  const end = reply.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const head = reply.toString("latin1", 0, end + 2);
  const start = end + 4;
  const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1];
  if (length !== undefined) {
    return reply.length >= start + Number(length) ? reply.subarray(start, start + Number(length)) : undefined;
  }
  return /\r\ntransfer-encoding: *chunked\r\n/i.test(head) ? unchunk(reply, start) : undefined;
}

function unchunk(reply: Buffer, start: number): Buffer | undefined {
  const chunks: Buffer[] = [];
  for (let at = start; ; ) {
    const line = reply.indexOf("\r\n", at);
    if (line < 0) return undefined;
    const size = Number.parseInt(reply.toString("latin1", at, line), 16);
    at = line + 2;
    if (reply.length < at + size + 2) return undefined;
    if (size === 0) return Buffer.concat(chunks);
    chunks.push(reply.subarray(at, at + size));
    at += size + 2;
  }
}
