import type { DescMethodUnary } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { trailerFlag, trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";
import { LazyHeaders } from "../call/lazy-headers.ts";
import { type Reply, toFields } from "../call/send.ts";
import type { Codec } from "../call/unary.ts";
import { malformed } from "../call/wire-error.ts";
import { checkPrefix, decodeFrame, encodeFrame, frame, frameBytes, grpcTimeoutMs } from "./grpc.ts";

/**
 * gRPC-Web: the trailers are the last frame of the body, and the -text variants are base64.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
 */
export function grpcWebCodec(
  method: DescMethodUnary,
  contentType: string,
  format: "json" | "proto",
  messageBytesMax: number,
): Codec {
  const isText = isTextType(contentType);
  const bodyBytesMax = frameBytes(messageBytesMax);
  const read = (body: Uint8Array) => (isText ? fromBase64(body) : body);
  return {
    protocol: "grpc-web",
    codingHeader: isText ? undefined : "grpc-encoding",
    bodyBytesMax: isText ? Math.ceil(bodyBytesMax / 3) * 4 : bodyBytesMax,
    timeoutMs: grpcTimeoutMs,
    // 8 characters are 6 bytes.
    checkStart: (start) => checkPrefix(read(start.subarray(0, 8)), messageBytesMax),
    decode: (header, body) => decodeFrame(method, format, header, read(body), messageBytesMax),
    reply({ requestHeader, responseHeader, responseTrailer }, message) {
      const header = toFields(responseHeader);
      header["content-type"] = contentType;
      const data = encodeFrame(method, format, requestHeader, header, message);
      const end = LazyHeaders.isEmpty(responseTrailer) ? okFrame : okTrailerFrame(responseTrailer);
      const reply = (data: Uint8Array) => ({ status: 200, header, body: encodeBody([data, end], isText) });
      return data instanceof Promise ? data.then(reply) : reply(data);
    },
    error: (error, header, trailer) => grpcWebError(contentType, error, header, trailer),
  };
}

/** An error: no message, and the status in the frame of the trailers. */
export function grpcWebError(
  contentType: string,
  error: ConnectError,
  responseHeader = new Headers(),
  responseTrailer = new Headers(),
): Reply {
  const header = new Headers(responseHeader);
  header.set("content-type", contentType);
  const trailer = setTrailerStatus(new Headers(responseTrailer), error);
  return { status: 200, header, body: encodeBody([trailerFrame(trailer)], isTextType(contentType)) };
}

function isTextType(contentType: string): boolean {
  return contentType.startsWith("application/grpc-web-text");
}

function okTrailerFrame(responseTrailer: Headers): Uint8Array {
  return trailerFrame(setTrailerStatus(new Headers(responseTrailer), undefined));
}

const okFrame = okTrailerFrame(new Headers());

function trailerFrame(trailer: Headers): Uint8Array {
  return frame(trailerFlag, trailerSerialize(trailer));
}

function encodeBody(frames: Uint8Array[], isText: boolean): Uint8Array {
  const body = Buffer.concat(frames);
  return isText ? Buffer.from(body.toString("base64")) : body;
}

/** Base64 in one piece, or in several with their own padding. @throws INVALID_ARGUMENT */
function fromBase64(body: Uint8Array): Uint8Array {
  const text = Buffer.from(body).toString("latin1");
  if (!/^(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)*$/.test(text))
    throw malformed("the body is not base64");
  const pieces = text.match(/[^=]+=*/g) ?? [];
  return Buffer.concat(pieces.map((piece) => Buffer.from(piece, "base64")));
}
