import type { Message } from "@bufbuild/protobuf";
import type { ConnectError, HandlerContext } from "@connectrpc/connect";
import type { EngineOptions } from "./engine-options.ts";
import type { BodyRules } from "./read-body.ts";
import type { Reply } from "./send.ts";
import { withErrorInfo } from "./wire-error.ts";

/** The parts of a handler context that a reply depends on. */
export type ReplyContext = Pick<HandlerContext, "requestHeader" | "responseHeader" | "responseTrailer">;

/** How one protocol encodes a unary call: bytes to message and back. A codec never touches a socket. */
export interface Codec extends BodyRules {
  readonly protocol: string;
  /**
   * The request header that names the compression of the message. Anything other than gzip is left to connect-node.
   * Undefined for protocols that connect-node doesn't speak: their codecs decompress everything themselves.
   */
  readonly codingHeader?: "content-encoding" | "grpc-encoding" | undefined;
  /** The deadline that the headers ask for, in milliseconds. @throws INVALID_ARGUMENT */
  timeoutMs(header: Headers): number | undefined;
  /** @throws ConnectError if the body is not a valid message. */
  decode(header: Headers, body: Uint8Array): Promise<Message> | Message;
  reply(context: ReplyContext, message: Message): Promise<Reply> | Reply;
  /** Encodes an error, with the header and trailer that the method set before it failed. */
  error(error: ConnectError, header: Headers, trailer: Headers): Reply;
}

/** Encodes an error. One that can't be encoded becomes INTERNAL: its message may hold half a surrogate pair, for example. */
export function encodeError(
  codec: Codec,
  error: unknown,
  { errorDomain }: EngineOptions,
  header = new Headers(),
  trailer = new Headers(),
): Reply {
  try {
    return codec.error(withErrorInfo(error, errorDomain), header, trailer);
  } catch (thrown) {
    return codec.error(withErrorInfo(thrown, errorDomain), new Headers(), new Headers());
  }
}
