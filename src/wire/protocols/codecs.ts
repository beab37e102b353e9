import type { DescMethodUnary } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import type { Codec } from "../call/codec.ts";
import type { Reply } from "../call/send.ts";
import { connectCodec } from "./connect.ts";
import { grpcCodec, grpcError } from "./grpc.ts";
import { dialectOf } from "./grpc-dialects.ts";

/** The RPC codecs of a unary method by content type, as `contentTypeOf` returns it. */
export function codecsOf(method: DescMethodUnary, messageBytesMax: number): ReadonlyMap<string, Codec> {
  const codecs = new Map<string, Codec>();
  for (const format of ["proto", "json"] as const) {
    codecs.set(`application/${format}`, connectCodec(method, format, messageBytesMax));
    // A gRPC type without a format means proto.
    for (const suffix of format === "proto" ? ["", "+proto"] : ["+json"]) {
      for (const protocol of ["grpc", "grpc-web", "grpc-web-text"]) {
        const type = `application/${protocol}${suffix}`;
        codecs.set(type, grpcCodec(method, type, format, messageBytesMax));
      }
    }
  }
  return codecs;
}

/**
 * Normalizes the content type of a request: lower case, and without a UTF-8 charset if it is JSON. Other parameters are
 * kept, so that no codec is found for the type.
 */
export function contentTypeOf(header: string | undefined): string {
  const type = (header ?? "").toLowerCase();
  return /^([^;\s]+json)[ \t]*;[ \t]*charset="?utf-?8"?$/.exec(type)?.[1] ?? type;
}

/** How to answer a gRPC or gRPC-Web client when the method is unknown. Undefined for other content types. */
export function grpcRefusal(
  contentType: string,
): { readonly protocol: string; readonly encode: (error: ConnectError) => Reply } | undefined {
  const type = /^application\/grpc(?:-web(?:-text)?)?(?:\+proto|\+json)?(?=$|[ \t]*;)/.exec(contentType)?.[0];
  if (type === undefined) return undefined;
  return { protocol: dialectOf(type).protocol, encode: (error) => grpcError(type, error) };
}
