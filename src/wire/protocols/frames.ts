import { type DescMethodUnary, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";
import { compressIfAccepted, decompress } from "../call/compression.ts";
import type { Fields } from "../call/send.ts";
import { malformed, tooLarge, wireError } from "../call/wire-error.ts";
import { messageFromJson, parseJson } from "../json/json.ts";
import { messageFromBinary } from "./connect.ts";

// The Length-Prefixed-Message of gRPC and gRPC-Web: one byte of flags, four bytes of length, the data.

const prefixBytes = 5;
const compressedFlag = 1;

/** The length of a frame that holds `bytes` of data. */
export function frameBytes(bytes: number): number {
  return prefixBytes + bytes;
}

export function frame(flags: number, data: Uint8Array | string): Uint8Array {
  const length = Buffer.byteLength(data);
  const bytes = Buffer.allocUnsafe(prefixBytes + length);
  bytes[0] = flags;
  bytes.writeUInt32BE(length, 1);
  if (typeof data === "string") bytes.write(data, prefixBytes);
  else bytes.set(data, prefixBytes);
  return bytes;
}

/** Checks the length in a prefix, before the message has arrived. @throws RESOURCE_EXHAUSTED */
export function checkPrefix(start: Uint8Array, messageBytesMax: number): void {
  if (start.length >= prefixBytes && lengthOf(start) > messageBytesMax) throw tooLarge(messageBytesMax);
}

function lengthOf(frame: Uint8Array): number {
  return Buffer.from(frame.buffer, frame.byteOffset, frame.length).readUInt32BE(1);
}

/** Decodes a body of exactly one message. @throws INVALID_ARGUMENT, UNIMPLEMENTED, RESOURCE_EXHAUSTED */
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
    throw isFrame(body.subarray(end))
      ? notOneMessage()
      : malformed("there are extra bytes after the message");
  if (flags > compressedFlag) throw malformed("the flags of the message are unknown: send 0 or 1");

  const read = (message: Uint8Array) =>
    format === "json"
      ? messageFromJson(method.input, parseJson(message))
      : messageFromBinary(method, message);
  const message = body.subarray(prefixBytes);
  if (flags === 0) return read(message);
  const encoding = header.get("grpc-encoding") ?? "identity";
  // connect-node answers INTERNAL, but it's the caller who left the header out.
  if (encoding === "identity")
    throw malformed("the message is flagged as compressed, without a grpc-encoding");
  return decompress(encoding, message, messageBytesMax, "grpc-accept-encoding").then(read);
}

function isFrame(bytes: Uint8Array): boolean {
  return bytes.length >= prefixBytes && bytes.length >= prefixBytes + lengthOf(bytes);
}

/** UNIMPLEMENTED, as gRPC's doc/statuscodes.md says for a wrong number of messages. */
function notOneMessage(): ConnectError {
  return wireError(Code.Unimplemented, "UNIMPLEMENTED", "a unary call takes exactly one message");
}

/** Encodes the message of a reply, and sets its grpc-encoding header if it is compressed. */
export function encodeFrame(
  method: DescMethodUnary,
  format: "json" | "proto",
  requestHeader: Headers,
  header: Fields,
  message: Message,
): Promise<Uint8Array> | Uint8Array {
  const data = format === "json" ? toJsonString(method.output, message) : toBinary(method.output, message);
  const compressed = compressIfAccepted(requestHeader.get("grpc-accept-encoding"), data);
  if (!compressed) return frame(0, data);
  header["grpc-encoding"] = "gzip";
  return compressed.then((bytes) => frame(compressedFlag, bytes));
}
