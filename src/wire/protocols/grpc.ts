import { type DescMethodUnary, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";
import { parseTimeout, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { compressIfAccepted, decompress } from "../call/compression.ts";
import { LazyHeaders } from "../call/lazy-headers.ts";
import { type Fields, type Reply, toFields } from "../call/send.ts";
import type { Codec } from "../call/unary.ts";
import { malformed, tooLarge, wireError } from "../call/wire-error.ts";
import { messageFromJson, parseJson } from "../json/json.ts";
import { messageFromBinary } from "./connect.ts";

/** gRPC: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
export function grpcCodec(
  method: DescMethodUnary,
  contentType: string,
  format: "json" | "proto",
  messageBytesMax: number,
): Codec {
  return {
    protocol: "grpc",
    codingHeader: "grpc-encoding",
    bodyBytesMax: frameBytes(messageBytesMax),
    timeoutMs: grpcTimeoutMs,
    checkStart: (start) => checkPrefix(start, messageBytesMax),
    decode: (header, body) => decodeFrame(method, format, header, body, messageBytesMax),
    reply({ requestHeader, responseHeader, responseTrailer }, message) {
      const header = toFields(responseHeader);
      header["content-type"] = contentType;
      const trailer = LazyHeaders.isEmpty(responseTrailer)
        ? { "grpc-status": "0" }
        : setTrailerStatus(new Headers(responseTrailer), undefined);
      const body = encodeFrame(method, format, requestHeader, header, message);
      if (body instanceof Promise) return body.then((body) => ({ status: 200, header, body, trailer }));
      return { status: 200, header, body, trailer };
    },
    error: (error, header, trailer) => grpcError(contentType, error, header, trailer),
  };
}

/** An error: no message, and the status in the trailers. */
export function grpcError(
  contentType: string,
  error: ConnectError,
  responseHeader = new Headers(),
  responseTrailer = new Headers(),
): Reply {
  const header = new Headers(responseHeader);
  header.set("content-type", contentType);
  const trailer = setTrailerStatus(new Headers(responseTrailer), error);
  return { status: 200, header, body: new Uint8Array(), trailer };
}

/** @throws INVALID_ARGUMENT */
export function grpcTimeoutMs(header: Headers): number | undefined {
  const { timeoutMs, error } = parseTimeout(header.get("grpc-timeout"), Number.POSITIVE_INFINITY);
  if (error) throw malformed("grpc-timeout must be at most 8 digits and a unit of H, M, S, m, u or n");
  return timeoutMs;
}

const prefixBytes = 5;
const compressedFlag = 1;

/** How long the frame of a message of `bytes` is. */
export function frameBytes(bytes: number): number {
  return prefixBytes + bytes;
}

/** A frame: one byte of flags, four of length, the data. */
export function frame(flags: number, data: Uint8Array | string): Uint8Array {
  const length = Buffer.byteLength(data);
  const bytes = Buffer.allocUnsafe(prefixBytes + length);
  bytes[0] = flags;
  bytes.writeUInt32BE(length, 1);
  if (typeof data === "string") bytes.write(data, prefixBytes);
  else bytes.set(data, prefixBytes);
  return bytes;
}

/** Refuses a frame that says it is too long, before it has come. @throws RESOURCE_EXHAUSTED */
export function checkPrefix(start: Uint8Array, messageBytesMax: number): void {
  if (start.length >= prefixBytes && lengthOf(start) > messageBytesMax) throw tooLarge(messageBytesMax);
}

function lengthOf(frame: Uint8Array): number {
  return Buffer.from(frame.buffer, frame.byteOffset, frame.length).readUInt32BE(1);
}

/** Reads a body of exactly one message. @throws INVALID_ARGUMENT, UNIMPLEMENTED, RESOURCE_EXHAUSTED */
export function decodeFrame(
  method: DescMethodUnary,
  format: "json" | "proto",
  header: Headers,
  body: Uint8Array,
  messageBytesMax: number,
): Promise<Message> | Message {
  if (body.length === 0) throw notOneMessage();
  if (body.length < prefixBytes) throw malformed("the body ends within the prefix of the message");
  checkPrefix(body, messageBytesMax);
  const flags = body[0] ?? 0;
  const end = prefixBytes + lengthOf(body);
  if (body.length < end) throw malformed("the body ends within the message");
  if (body.length > end)
    throw isFrame(body.subarray(end)) ? notOneMessage() : malformed("the body goes on behind the message");
  if (flags > compressedFlag) throw malformed("the flags of the message are not known: send 0 or 1");

  const read = (message: Uint8Array) =>
    format === "json"
      ? messageFromJson(method.input, parseJson(message))
      : messageFromBinary(method, message);
  const message = body.subarray(prefixBytes);
  if (flags === 0) return read(message);
  const encoding = header.get("grpc-encoding") ?? "identity";
  // INTERNAL with connect-node. It is the caller that forgot to say.
  if (encoding === "identity")
    throw malformed("the message is flagged as compressed, without a grpc-encoding");
  return decompress(encoding, message, messageBytesMax, "grpc-accept-encoding").then(read);
}

function isFrame(bytes: Uint8Array): boolean {
  return bytes.length >= prefixBytes && bytes.length >= prefixBytes + lengthOf(bytes);
}

/** The code that gRPC has for a number of messages that the method does not take: doc/statuscodes.md. */
function notOneMessage(): ConnectError {
  return wireError(Code.Unimplemented, "UNIMPLEMENTED", "a unary call takes exactly one message");
}

/** The frame of a reply; sets the headers that belong to it. */
export function encodeFrame(
  method: DescMethodUnary,
  format: "json" | "proto",
  requestHeader: Headers,
  header: Fields,
  message: Message,
): Promise<Uint8Array> | Uint8Array {
  const data = format === "json" ? toJsonString(method.output, message) : toBinary(method.output, message);
  const compressed = compressIfAccepted(() => requestHeader.get("grpc-accept-encoding"), data);
  if (!compressed) return frame(0, data);
  header["grpc-encoding"] = "gzip";
  return compressed.then((bytes) => frame(compressedFlag, bytes));
}
