import { once } from "node:events";
import { METHODS } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { gunzipSync } from "node:zlib";

export interface Sent {
  readonly method: string;
  /** The request target, sent unchanged. */
  readonly path: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: Uint8Array | undefined;
}

export interface Received {
  readonly status: number;
  /** By lower-case name, one value per header line. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  readonly body: Buffer;
}

const timeoutMs = 20_000;

/** Sends a request unchanged over a raw socket, or over HTTP/2 if Node doesn't know the method in HTTP/1.1. */
export async function send(port: number, request: Sent): Promise<Received> {
  const received = METHODS.includes(request.method)
    ? parseReply(await sendBytes(port, bytesOf(port, request)), request.method)
    : await sendHttp2(port, request);
  const [encoding] = received.headers.get("content-encoding") ?? [];
  return encoding === "gzip" ? { ...received, body: gunzipSync(received.body) } : received;
}

/** Percent-encodes non-ASCII characters, like HTTP clients do. */
export function asciiOf(target: string): string {
  return target.replace(/[^!-~]/gu, encodeURIComponent);
}

/** Sends a raw request, and reads the reply. */
export async function sendText(port: number, text: string): Promise<Received> {
  return parseReply(await sendBytes(port, Buffer.from(text)), text.split(" ", 1)[0] ?? "");
}

function bytesOf(port: number, { method, path, headers = [], body }: Sent): Buffer {
  const has = (name: string) => headers.some(([other]) => other.toLowerCase() === name);
  const all = [...headers];
  if (!has("host")) all.push(["host", `127.0.0.1:${port}`]);
  if (!has("connection")) all.push(["connection", "close"]);
  const isFramed = has("content-length") || has("transfer-encoding");
  if (!isFramed && (body || !["GET", "HEAD", "OPTIONS", "DELETE"].includes(method)))
    all.push(["content-length", String(body?.length ?? 0)]);
  const lines = [`${method} ${path} HTTP/1.1`, ...all.map(([name, value]) => `${name}: ${value}`), "", ""];
  return Buffer.concat([Buffer.from(lines.join("\r\n")), body ?? Buffer.alloc(0)]);
}

/** Collects everything that arrives until the socket is closed. */
async function sendBytes(port: number, bytes: Buffer): Promise<Buffer> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  // The server may close the connection before it has read the body. Its reply counts.
  socket.on("error", () => {});
  socket.on("end", () => socket.end());
  socket.setTimeout(timeoutMs, () => socket.destroy());
  socket.write(bytes);
  await new Promise((resolve) => socket.on("close", resolve));
  return Buffer.concat(chunks);
}

function parseReply(bytes: Buffer, method: string): Received {
  const end = bytes.indexOf("\r\n\r\n");
  if (end === -1) throw new Error("the connection was closed without a reply");
  const [first = "", ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
  const status = Number(/^HTTP\/1\.[01] ([0-9]{3})(?: |$)/.exec(first)?.[1]);
  if (Number.isNaN(status)) throw new Error("the reply is not HTTP/1.1");
  const rest = bytes.subarray(end + 4);
  if (status < 200) return parseReply(rest, method);
  const headers = new Map<string, string[]>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).toLowerCase();
    headers.set(name, [...(headers.get(name) ?? []), line.slice(colon + 1).trim()]);
  }
  const length = headers.get("content-length")?.[0];
  const isChunked = headers.has("transfer-encoding");
  const body = isChunked && method !== "HEAD" ? joinChunks(rest) : rest;
  if (length !== undefined && method !== "HEAD" && Number(length) !== body.length)
    throw new Error(`the reply has ${body.length} bytes, but its Content-Length is ${length}`);
  return { status, headers, body };
}

function joinChunks(bytes: Buffer): Buffer {
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const end = bytes.indexOf("\r\n", at);
    const length = end === -1 ? Number.NaN : Number.parseInt(bytes.toString("latin1", at, end), 16);
    if (Number.isNaN(length)) throw new Error("the reply is truncated");
    if (length === 0) return Buffer.concat(chunks);
    chunks.push(bytes.subarray(end + 2, end + 2 + length));
    at = end + 2 + length + 2;
  }
}

async function sendHttp2(port: number, { method, path, headers = [], body }: Sent): Promise<Received> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  session.on("error", () => {});
  try {
    const fields = { ...Object.fromEntries(headers), ":method": method, ":path": path };
    const stream = session.request(fields, { endStream: !body });
    stream.setTimeout(timeoutMs, () => stream.destroy(new Error("there is no reply")));
    if (body) stream.end(body);
    const [{ ":status": status, ...received }] = (await once(stream, "response")) as [Record<string, string>];
    const lists = Object.entries(received).map(([name, value]) => [name, [value].flat()] as const);
    const reply = Buffer.concat(await stream.toArray());
    return { status: Number(status), headers: new Map(lists), body: reply };
  } finally {
    session.destroy();
  }
}
