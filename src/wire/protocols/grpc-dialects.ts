import { trailerFlag, trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";
import type { Fields, Reply } from "../call/send.ts";
import { malformed } from "../call/wire-error.ts";
import { frame } from "./frames.ts";

/** What differs between gRPC, gRPC-Web and gRPC-Web text: the encoding of the body, and where the trailers go. */
export interface GrpcDialect {
  readonly protocol: "grpc" | "grpc-web";
  /** See `Codec`. */
  readonly codingHeader: "grpc-encoding" | undefined;
  /** The length of a body that holds a frame of `bytes`. */
  bodyBytes(bytes: number): number;
  /** @throws INVALID_ARGUMENT */
  decodeBody(body: Uint8Array): Uint8Array;
  /** @param message the frame of the message, empty for an error. */
  reply(header: Fields | Headers, message: Uint8Array, trailer: Headers): Reply;
}

/** The dialect of a gRPC content type. */
export function dialectOf(contentType: string): GrpcDialect {
  if (contentType.startsWith("application/grpc-web-text")) return grpcWebText;
  return contentType.startsWith("application/grpc-web") ? grpcWeb : grpc;
}

/** https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
const grpc: GrpcDialect = {
  protocol: "grpc",
  codingHeader: "grpc-encoding",
  bodyBytes: (bytes) => bytes,
  decodeBody: (body) => body,
  reply: (header, message, trailer) => ({ status: 200, header, body: message, trailer }),
};

/**
 * The trailers are the last frame of the body.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
 */
const grpcWeb: GrpcDialect = {
  protocol: "grpc-web",
  codingHeader: "grpc-encoding",
  bodyBytes: (bytes) => bytes,
  decodeBody: (body) => body,
  reply: (header, message, trailer) => ({ status: 200, header, body: withTrailer(message, trailer) }),
};

/** gRPC-Web with a base64 body. */
const grpcWebText: GrpcDialect = {
  protocol: "grpc-web",
  codingHeader: undefined,
  bodyBytes: (bytes) => Math.ceil(bytes / 3) * 4,
  decodeBody: fromBase64,
  reply: (header, message, trailer) => ({
    status: 200,
    header,
    body: withTrailer(message, trailer).toString("base64"),
  }),
};

function withTrailer(message: Uint8Array, trailer: Headers): Buffer {
  return Buffer.concat([message, frame(trailerFlag, trailerSerialize(trailer))]);
}

/** Decodes base64 that is in one piece, or in several with padding of their own. @throws INVALID_ARGUMENT */
function fromBase64(body: Uint8Array): Uint8Array {
  const text = Buffer.from(body).toString("latin1");
  if (!/^(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)*$/.test(text))
    throw malformed("the body is not base64");
  const pieces = text.match(/[^=]+=*/g) ?? [];
  return Buffer.concat(pieces.map((piece) => Buffer.from(piece, "base64")));
}
