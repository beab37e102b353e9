import { connect } from "node:net";
import type { Connection, ConnectionOptions } from "./connection.ts";

// Handwritten like HTTP/1.1: node:http2 needs more CPU a call than the measured server.

/** Frame types (RFC 9113 §6). */
const frames = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 } as const;
const endStream = 1;
const endHeaders = 4;
const ack = 1;

/** Opens an HTTP/2 connection for gRPC calls, as many at a time as the server allows. */
export function openHttp2({ port, contentType, token }: ConnectionOptions): Connection {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  const waiting = new Map<number, Exchange>();
  const headers = headerBlocks([
    [":method", "POST"],
    [":scheme", "http"],
    [":authority", `127.0.0.1:${port}`],
    ["content-type", contentType],
    ["te", "trailers"],
    ["authorization", `Bearer ${token}`],
  ]);
  let received: Buffer = Buffer.alloc(0);
  let nextId = 1;

  function fail(error: Error): void {
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  }
  function read(type: number, flags: number, id: number, payload: Buffer): void {
    if (type === frames.settings && !(flags & ack)) socket.write(frame(frames.settings, ack, 0));
    else if (type === frames.ping && !(flags & ack)) socket.write(frame(frames.ping, ack, 0, payload));
    else if (type === frames.goAway) fail(new Error("the server is going away"));
    const exchange = waiting.get(id);
    if (!exchange) return;
    if (type === frames.data) exchange.body.push(Buffer.from(payload));
    if (type === frames.reset) {
      waiting.delete(id);
      exchange.reject(new Error("the server reset the stream"));
    } else if ((type === frames.data || type === frames.headers) && flags & endStream) {
      waiting.delete(id);
      const { body, resolve, reject } = exchange;
      // Trailers are not decoded: a reply without a message is an error.
      if (body.length > 0) resolve(body.length === 1 ? body[0]! : Buffer.concat(body));
      else reject(new Error(`a call failed: ${payload.toString("latin1")}`));
    }
  }

  socket.on("error", fail);
  socket.on("close", () => fail(new Error("the server closed the connection")));
  socket.on("data", (chunk) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    let at = 0;
    while (received.length >= at + 9) {
      const end = at + 9 + received.readUIntBE(at, 3);
      if (received.length < end) break;
      const id = received.readUInt32BE(at + 5) & 0x7fffffff;
      read(received[at + 3]!, received[at + 4]!, id, received.subarray(at + 9, end));
      at = end;
    }
    received = received.subarray(at);
  });
  socket.write(
    Buffer.concat([
      Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
      frame(frames.settings, 0, 0, settings),
      // A window of 2 GB for the connection: more than the replies of a run.
      frame(frames.windowUpdate, 0, 0, Buffer.from([0x7f, 0xf0, 0, 0])),
    ]),
  );
  return {
    send(path, body) {
      const id = nextId;
      nextId += 2;
      socket.write(
        Buffer.concat([
          frame(frames.headers, endHeaders, id, headers(path)),
          frame(frames.data, endStream, id, body),
        ]),
      );
      return new Promise((resolve, reject) => {
        waiting.set(id, { body: [], resolve, reject });
      });
    },
    close: () => socket.destroy(),
  };
}

interface Exchange {
  readonly body: Buffer[];
  resolve(body: Uint8Array): void;
  reject(error: Error): void;
}

/** SETTINGS_HEADER_TABLE_SIZE = 0, SETTINGS_ENABLE_PUSH = 0. */
const settings = Buffer.from([0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);

function frame(type: number, flags: number, id: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const bytes = Buffer.allocUnsafe(9 + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(id, 5);
  bytes.set(payload, 9);
  return bytes;
}

/** Encodes headers as literals without indexing (RFC 7541 §6.2.2): they leave no state, so one block serves all calls of a path. */
function headerBlocks(common: readonly (readonly [string, string])[]): (path: string) => Buffer {
  const rest = Buffer.concat(common.map(([name, value]) => literal(name, value)));
  const blocks = new Map<string, Buffer>();
  return (path) => {
    const known = blocks.get(path);
    if (known) return known;
    // Pseudo-headers, :path among them, come first.
    const block = Buffer.concat([literal(":path", path), rest]);
    blocks.set(path, block);
    return block;
  };
}

function literal(name: string, value: string): Buffer {
  const text = (content: string) => Buffer.concat([length(content.length), Buffer.from(content, "latin1")]);
  return Buffer.concat([Buffer.from([0]), text(name), text(value)]);
}

/** Encodes an integer with a 7-bit prefix (RFC 7541 §5.1). */
function length(value: number): Buffer {
  if (value < 127) return Buffer.from([value]);
  const bytes = [127];
  let rest = value - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}
