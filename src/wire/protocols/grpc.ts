import type { DescMethodUnary } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { parseTimeout, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import type { Codec } from "../call/codec.ts";
import { type Reply, toFields } from "../call/send.ts";
import { malformed } from "../call/wire-error.ts";
import { checkPrefix, decodeFrame, encodeFrame, frameBytes } from "./frames.ts";
import { dialectOf } from "./grpc-dialects.ts";

/** gRPC, gRPC-Web or gRPC-Web text, by the content type. */
export function grpcCodec(
  method: DescMethodUnary,
  contentType: string,
  format: "json" | "proto",
  messageBytesMax: number,
): Codec {
  const dialect = dialectOf(contentType);
  return {
    protocol: dialect.protocol,
    codingHeader: dialect.codingHeader,
    bodyBytesMax: dialect.bodyBytes(frameBytes(messageBytesMax)),

    timeoutMs(header) {
      const { timeoutMs, error } = parseTimeout(header.get("grpc-timeout"), Number.POSITIVE_INFINITY);
      if (error) throw malformed("grpc-timeout must be at most 8 digits and a unit of H, M, S, m, u or n");
      return timeoutMs;
    },

    // 8 characters of base64 are 6 bytes, which include the prefix.
    checkStart: (start) => checkPrefix(dialect.decodeBody(start.subarray(0, 8)), messageBytesMax),

    decode: (header, body) => decodeFrame(method, format, header, dialect.decodeBody(body), messageBytesMax),

    reply({ requestHeader, responseHeader, responseTrailer }, message) {
      const header = toFields(responseHeader);
      header["content-type"] = contentType;
      const trailer = setTrailerStatus(new Headers(responseTrailer), undefined);
      const frame = encodeFrame(method, format, requestHeader, header, message);
      return frame instanceof Promise
        ? frame.then((bytes) => dialect.reply(header, bytes, trailer))
        : dialect.reply(header, frame, trailer);
    },

    error: (error, header, trailer) => grpcError(contentType, error, header, trailer),
  };
}

/** An error reply: no message, and the status in the trailers. */
export function grpcError(
  contentType: string,
  error: ConnectError,
  responseHeader = new Headers(),
  responseTrailer = new Headers(),
): Reply {
  const header = new Headers(responseHeader);
  header.set("content-type", contentType);
  const trailer = setTrailerStatus(new Headers(responseTrailer), error);
  return dialectOf(contentType).reply(header, new Uint8Array(), trailer);
}
