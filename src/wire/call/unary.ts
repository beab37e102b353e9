import type { DescMethod, Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type Interceptor } from "@connectrpc/connect";
import { Call } from "./call.ts";
import { invoke, type UnarySpec } from "./invoke.ts";
import type { NodeRequest, NodeResponse } from "./node-http.ts";
import { type BodyRules, readBody } from "./read-body.ts";
import { type Reply, send } from "./send.ts";
import { wireError, withErrorInfo } from "./wire-error.ts";

export type { UnarySpec } from "./invoke.ts";
export type { Reply } from "./send.ts";

/** What of the context of a call goes into its reply. */
export type ReplyContext = Pick<HandlerContext, "requestHeader" | "responseHeader" | "responseTrailer">;

/** How one protocol spells a call: bytes to message and back. It knows no sockets. */
export interface Codec extends BodyRules {
  readonly protocol: string;
  /**
   * The header that names the compression of the message. Whatever it names but gzip is for connect-node to read.
   * Undefined where connect-node does not speak the protocol: all of it is read here.
   */
  readonly codingHeader?: "content-encoding" | "grpc-encoding" | undefined;
  /** The deadline that the headers ask for, in milliseconds. @throws INVALID_ARGUMENT */
  timeoutMs(header: Headers): number | undefined;
  /** @throws ConnectError if the body is not a message. */
  decode(header: Headers, body: Uint8Array): Promise<Message> | Message;
  reply(context: ReplyContext, message: Message): Promise<Reply> | Reply;
  /** `header` and `trailer`: what the method set before it failed. */
  error(error: ConnectError, header: Headers, trailer: Headers): Reply;
}

export interface EngineOptions {
  readonly interceptors: Interceptor[];
  /** Of a message, also after decompression. */
  readonly messageBytesMax: number;
  /** Of the ErrorInfo of errors that say none themselves. */
  readonly errorDomain: string;
  /** Ends what is still running when the service stops. */
  readonly shutdownSignal?: AbortSignal | undefined;
  /** The calls to be ended then. */
  readonly running: Set<Call>;
  /** Told of requests that are answered with an error before any interceptor sees them. It must not throw. */
  readonly onRefused?: ((refused: RefusedRequest) => void) | undefined;
}

export interface RefusedRequest {
  /** Undefined where no method was found. */
  readonly method: DescMethod | undefined;
  readonly protocol: string;
  readonly error: ConnectError;
  readonly durationMs: number;
}

/** Decodes, calls and answers one unary request. It never rejects. */
export async function serveUnary(
  request: NodeRequest,
  response: NodeResponse,
  spec: UnarySpec,
  codec: Codec,
  options: EngineOptions,
): Promise<void> {
  const start = performance.now();
  const call = new Call(request, response, codec.protocol);
  let isCalled = false;
  let reply: Reply;
  try {
    call.begin(codec.timeoutMs(call.requestHeader), options);
    const message = await readMessage(request, call, codec, options.messageBytesMax);
    isCalled = true;
    const {
      message: output,
      header,
      trailer,
    } = await call.untilStopped(invoke(spec, call, message, options.interceptors));
    const context = { requestHeader: call.requestHeader, responseHeader: header, responseTrailer: trailer };
    const encoded = codec.reply(context, output);
    reply = encoded instanceof Promise ? await call.untilStopped(encoded) : encoded;
  } catch (thrown) {
    const error = toPublicError(thrown, call, options);
    if (!isCalled) {
      const durationMs = performance.now() - start;
      options.onRefused?.({ method: spec.method, protocol: codec.protocol, error, durationMs });
    }
    reply = encodeError(codec, error, options, call.responseHeader, call.responseTrailer);
  } finally {
    call.end(options);
  }
  try {
    send(request, response, reply);
  } catch (thrown) {
    // A header that HTTP cannot carry. Nothing of the reply has been sent.
    send(request, response, encodeError(codec, thrown, options));
  }
}

/** Reads the one message of a request. @throws ConnectError, or why the call was stopped */
export async function readMessage(
  request: NodeRequest,
  call: Call,
  codec: Codec,
  messageBytesMax: number,
): Promise<Message> {
  const body = await readBody(request, codec, messageBytesMax, call);
  const message = codec.decode(call.requestHeader, body);
  return message instanceof Promise ? call.untilStopped(message) : message;
}

/** What the caller is told of an error of the call. */
export function toPublicError(thrown: unknown, call: Call, { errorDomain }: EngineOptions): ConnectError {
  return withErrorInfo(call.isStopped && thrown === call.reason ? stopError(thrown) : thrown, errorDomain);
}

/** What the caller is told of a call that was stopped for a reason. */
export function stopError(reason: unknown): unknown {
  if (!(reason instanceof ConnectError))
    return wireError(Code.Unavailable, "UNAVAILABLE", "the service is shutting down: send the call again");
  if (reason.code !== Code.DeadlineExceeded) return reason;
  return wireError(
    Code.DeadlineExceeded,
    "DEADLINE_EXCEEDED",
    "the deadline of the call has passed: allow more time",
  );
}

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
    // Its details or its message cannot be encoded, such as half a surrogate pair in a URI.
    return codec.error(withErrorInfo(thrown, errorDomain), new Headers(), new Headers());
  }
}
