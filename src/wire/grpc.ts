import { type DescMethodUnary, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";
import { parseTimeout, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { acceptedEncodings, compressIfAccepted, decompress } from "./compression.ts";
import { messageFromBinary } from "./connect.ts";
import { messageFromJson, parseJson } from "./json.ts";
import { type Codec, type Reply, tooLarge } from "./unary.ts";
import { malformed, wireError } from "./wire-error.ts";

const compressedFlag = 1;

/** gRPC over HTTP/2: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
export function grpcCodec(
  method: DescMethodUnary,
  contentType: string,
  format: "json" | "proto",
  messageBytesMax: number,
): Codec {
  return {
    protocol: "grpc",
    timeoutMs: grpcTimeoutMs,
    decode: (header, body) => decodeFrame(method, format, header, body, messageBytesMax),
    async reply(context, message) {
      const header = new Headers(context.responseHeader);
      header.set("content-type", contentType);
      const body = await encodeFrame(method, format, context.requestHeader, header, message);
      return {
        status: 200,
        header,
        body,
        trailer: setTrailerStatus(new Headers(context.responseTrailer), undefined),
      };
    },
    error: (error, header, trailer) => grpcError(contentType, error, header, trailer),
  };
}

/** An error: no message, and the status in the trailers. */
export function grpcError(
  contentType: string,
  error: ConnectError,
  header: Headers,
  trailer: Headers,
): Reply {
  const headers = new Headers(header);
  headers.set("content-type", contentType);
  const status = setTrailerStatus(new Headers(trailer), error);
  return { status: 200, header: headers, body: new Uint8Array(), trailer: status };
}

/** @throws INVALID_ARGUMENT */
export function grpcTimeoutMs(header: Headers): number | undefined {
  const { timeoutMs, error } = parseTimeout(header.get("grpc-timeout"), Number.POSITIVE_INFINITY);
  if (error) throw malformed("grpc-timeout must be at most 8 digits and a unit of H, M, S, m, u or n");
  return timeoutMs;
}

/** A frame: one byte of flags, four of length, the data. */
export function frame(flags: number, data: Uint8Array): Uint8Array {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(flags, 0);
  prefix.writeUInt32BE(data.length, 1);
  return Buffer.concat([prefix, data]);
}

/** Reads a body of exactly one message. @throws INVALID_ARGUMENT, UNIMPLEMENTED, RESOURCE_EXHAUSTED */
export async function decodeFrame(
  method: DescMethodUnary,
  format: "json" | "proto",
  header: Headers,
  body: Uint8Array,
  messageBytesMax: number,
): Promise<Message> {
  const data = Buffer.from(body.buffer, body.byteOffset, body.length);
  if (data.length < 5)
    throw malformed("the body has no message: a frame of 5 bytes and the message is expected");
  const flags = data.readUInt8(0);
  const length = data.readUInt32BE(1);
  if (length > messageBytesMax) throw tooLarge(messageBytesMax);
  if (data.length !== 5 + length) {
    if (data.length > 5 + length) {
      throw wireError(Code.Unimplemented, "UNIMPLEMENTED", "a unary call takes exactly one message");
    }
    throw malformed("the body ends within the message");
  }
  let message: Uint8Array = data.subarray(5);
  if ((flags & compressedFlag) !== 0) {
    const encoding = header.get("grpc-encoding") ?? "identity";
    if (encoding === "identity")
      throw malformed("the message is flagged as compressed, without a grpc-encoding");
    message = await decompress(encoding, message, messageBytesMax);
  }
  return format === "json"
    ? messageFromJson(method.input, parseJson(message))
    : messageFromBinary(method, message);
}

/** The frame of a reply; sets the headers that belong to it. */
export async function encodeFrame(
  method: DescMethodUnary,
  format: "json" | "proto",
  requestHeader: Headers,
  header: Headers,
  message: Message,
): Promise<Uint8Array> {
  const data =
    format === "json" ? Buffer.from(toJsonString(method.output, message)) : toBinary(method.output, message);
  header.set("grpc-accept-encoding", acceptedEncodings);
  const compressed = await compressIfAccepted(requestHeader.get("grpc-accept-encoding"), data);
  if (!compressed) return frame(0, data);
  header.set("grpc-encoding", "gzip");
  return frame(compressedFlag, compressed);
}
