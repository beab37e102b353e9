import type { DescMethodUnary } from "@bufbuild/protobuf";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { trailerFlag, trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";
import { decodeFrame, encodeFrame, frame, grpcTimeoutMs } from "./grpc.ts";
import type { Codec } from "./unary.ts";
import { malformed } from "./wire-error.ts";

/**
 * gRPC-Web: the trailers are the last frame of the body, and the -text variants are base64.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
 */
export function grpcWebCodec(
  method: DescMethodUnary,
  contentType: string,
  format: "json" | "proto",
  isText: boolean,
  messageBytesMax: number,
): Codec {
  const encode = (body: Uint8Array) => (isText ? Buffer.from(Buffer.from(body).toString("base64")) : body);
  return {
    protocol: "grpc-web",
    timeoutMs: grpcTimeoutMs,
    decode: (header, body) =>
      decodeFrame(method, format, header, isText ? fromBase64(body) : body, messageBytesMax),
    async reply(context, message) {
      const header = new Headers(context.responseHeader);
      header.set("content-type", contentType);
      const data = await encodeFrame(method, format, context.requestHeader, header, message);
      const trailer = setTrailerStatus(new Headers(context.responseTrailer), undefined);
      return {
        status: 200,
        header,
        body: encode(Buffer.concat([data, frame(trailerFlag, trailerSerialize(trailer))])),
      };
    },
    error(error, responseHeader, responseTrailer) {
      const header = new Headers(responseHeader);
      header.set("content-type", contentType);
      const trailer = setTrailerStatus(new Headers(responseTrailer), error);
      return { status: 200, header, body: encode(frame(trailerFlag, trailerSerialize(trailer))) };
    },
  };
}

function fromBase64(body: Uint8Array): Uint8Array {
  const text = Buffer.from(body).toString("latin1");
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw malformed("the body is not base64");
  return Buffer.from(text, "base64");
}
