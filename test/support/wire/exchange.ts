import { once } from "node:events";
import { createServer, request as httpRequest, type IncomingMessage } from "node:http";
import { createServer as createHttp2Server, connect as http2Connect } from "node:http2";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import type { NodeHandler } from "../../../src/wire/wire.ts";

export const httpVersions = ["1.1", "2"] as const;
export type HttpVersion = (typeof httpVersions)[number];

/** Serves a handler with a plain Node server on a free port, until the test ends. Returns the port. */
export async function listenBare(handler: NodeHandler, version: HttpVersion): Promise<number> {
  const server = version === "2" ? createHttp2Server(handler) : createServer(handler);
  const sockets = new Set<{ destroy(): unknown }>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    server.close();
    for (const socket of sockets) socket.destroy();
    await once(server, "close");
  });
  return (server.address() as AddressInfo).port;
}

export interface RawRequest {
  readonly method?: string;
  readonly path: string;
  /** A header with several values is sent several times. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: Uint8Array | string;
  /** Whether the body is sent in chunks, without a Content-Length. */
  readonly chunked?: boolean;
}

export interface RawReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  readonly trailers: Readonly<Record<string, string | string[] | undefined>>;
}

/** Sends a request unchanged and reads the whole reply. */
export function exchange(port: number, version: HttpVersion, request: RawRequest): Promise<RawReply> {
  return version === "2" ? exchangeHttp2(port, request) : exchangeHttp1(port, request);
}

async function exchangeHttp1(port: number, request: RawRequest): Promise<RawReply> {
  const { method = "POST", path, headers = {}, body = "", chunked = false } = request;
  const length = method === "POST" && !chunked ? { "content-length": Buffer.byteLength(body) } : {};
  const sent = httpRequest({ host: "127.0.0.1", port, method, path, headers: { ...headers, ...length } });
  // The server may close the connection before it has read the body.
  sent.on("error", () => {});
  const response = once(sent, "response") as Promise<[IncomingMessage]>;
  if (chunked) sent.flushHeaders();
  sent.end(body);
  const [reply] = await response;
  const bytes = Buffer.concat(await reply.toArray());
  return { status: reply.statusCode ?? 0, headers: reply.headers, body: bytes, trailers: reply.trailers };
}

async function exchangeHttp2(port: number, request: RawRequest): Promise<RawReply> {
  const { method = "POST", path, headers = {}, body = "" } = request;
  const session = http2Connect(`http://127.0.0.1:${port}`);
  try {
    const endStream = method === "GET";
    const stream = session.request({ ...headers, ":method": method, ":path": path }, { endStream });
    let trailers: RawReply["trailers"] = {};
    stream.on("trailers", (fields) => {
      trailers = fields;
    });
    const response = once(stream, "response") as Promise<[Record<string, string>]>;
    const closed = once(stream, "close");
    const closedFirst = closed.then(() => Promise.reject(new Error("the stream was closed without a reply")));
    closedFirst.catch(() => {});
    if (!endStream) stream.end(body);
    const [{ ":status": status, ...fields }] = await Promise.race([response, closedFirst]);
    const bytes = Buffer.concat(await stream.toArray());
    if (!stream.closed) await closed;
    return { status: Number(status), headers: fields, body: bytes, trailers };
  } finally {
    session.destroy();
  }
}

/** Creates a gRPC frame. `length` overrides the length in its prefix. */
export function frameOf(data: Uint8Array, flags = 0, length = data.length): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(flags);
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, data]);
}
