import type { DescMethodUnary } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import type { Reply } from "../call/send.ts";
import type { Codec } from "../call/unary.ts";
import { connectCodec } from "./connect.ts";
import { grpcCodec, grpcError } from "./grpc.ts";
import { grpcWebCodec, grpcWebError } from "./grpc-web.ts";

/** The RPC protocols of a unary method, by the content type of a request: see `contentTypeOf`. */
export function codecsOf(method: DescMethodUnary, messageBytesMax: number): ReadonlyMap<string, Codec> {
  const codecs = new Map<string, Codec>();
  for (const format of ["proto", "json"] as const) {
    codecs.set(`application/${format}`, connectCodec(method, format, messageBytesMax));
    // Without a format it is proto.
    for (const suffix of format === "proto" ? ["", "+proto"] : ["+json"]) {
      const type = `application/grpc${suffix}`;
      codecs.set(type, grpcCodec(method, type, format, messageBytesMax));
      for (const web of [`application/grpc-web${suffix}`, `application/grpc-web-text${suffix}`]) {
        codecs.set(web, grpcWebCodec(method, web, format, messageBytesMax));
      }
    }
  }
  return codecs;
}

/**
 * The content type of a request, in lower case and without a charset of UTF-8 if it is JSON. With any other parameter
 * it is returned as it is, which is no type that anybody knows.
 */
export function contentTypeOf(header: string | undefined): string {
  const type = (header ?? "").toLowerCase();
  return /^([^;\s]+json)[ \t]*;[ \t]*charset="?utf-?8"?$/.exec(type)?.[1] ?? type;
}

/** How clients of gRPC and gRPC-Web are told of an error where no method is known. Undefined for other types. */
export function grpcRefusal(contentType: string): ((error: ConnectError) => Reply) | undefined {
  const type = /^application\/grpc(?:-web(?:-text)?)?(?:\+proto|\+json)?(?=$|[ \t]*;)/.exec(contentType)?.[0];
  if (type === undefined) return undefined;
  const encode = type.startsWith("application/grpc-web") ? grpcWebError : grpcError;
  return (error) => encode(type, error);
}
