import type { DescMethod, Message } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createContextKey,
  createContextValues,
  createHandlerContext,
  type HandlerContext,
  type Interceptor,
  type MethodImplSpec,
} from "@connectrpc/connect";
import { invokeUnaryImplementation } from "@connectrpc/connect/protocol";
import {
  abortWhenGone,
  headersOf,
  type NodeRequest,
  type NodeResponse,
  peerAddressOf,
  urlOf,
} from "./node-http.ts";
import { readBody } from "./read-body.ts";
import { type Reply, send } from "./send.ts";
import { wireError, withErrorInfo } from "./wire-error.ts";

export type { Reply } from "./send.ts";

/** The protocol of a call: "connect", "grpc", "grpc-web" or "rest". For interceptors. */
export const protocolName = createContextKey("", { description: "protocol of the call" });
/** The address at the other end of the socket. For interceptors. */
export const peerAddress = createContextKey<string | undefined>(undefined, { description: "peer address" });

/** A unary method and what it does. */
export type UnarySpec = Extract<MethodImplSpec, { kind: "unary" }>;

/** How one protocol spells a call: bytes to message and back. It knows no sockets. */
export interface Codec {
  readonly protocol: string;
  /** How long the body of the largest message is. As long as the message unless given. */
  readonly bodyBytesMax?: number;
  /** The deadline that the headers ask for, in milliseconds. @throws INVALID_ARGUMENT */
  timeoutMs(header: Headers): number | undefined;
  /** Looks at the first bytes of a body, 8 or more. @throws ConnectError if the rest need not be read. */
  checkStart?(start: Uint8Array): void;
  /** @throws ConnectError if the body is not a message. */
  decode(header: Headers, body: Uint8Array): Promise<Message> | Message;
  reply(context: HandlerContext, message: Message): Promise<Reply> | Reply;
  /** `header` and `trailer`: what the method set before it failed. */
  error(error: ConnectError, header: Headers, trailer: Headers): Reply;
}

export interface LaneOptions {
  readonly interceptors: Interceptor[];
  /** Of a message, also after decompression. */
  readonly messageBytesMax: number;
  /** Ends what is still running when the service stops. */
  readonly shutdownSignal?: AbortSignal | undefined;
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

type CallContext = ReturnType<typeof createHandlerContext>;

/** Decodes, calls and answers one unary request. It never rejects. */
export async function serveUnary(
  request: NodeRequest,
  response: NodeResponse,
  spec: UnarySpec,
  codec: Codec,
  options: LaneOptions,
): Promise<void> {
  const start = performance.now();
  const gone = abortWhenGone(request, response);
  let context: CallContext | undefined;
  let isCalled = false;
  let reply: Reply;
  try {
    context = createContext(request, spec.method, codec, options.shutdownSignal, gone.signal);
    const message = await readMessage(request, context, codec, options.messageBytesMax);
    isCalled = true;
    const output = invokeUnaryImplementation(spec, context, message, options.interceptors);
    reply = await codec.reply(context, await untilAborted(output, context.signal));
  } catch (thrown) {
    const error = withErrorInfo(context?.signal.aborted ? reasonOf(context.signal, thrown) : thrown);
    if (!isCalled) {
      const durationMs = performance.now() - start;
      options.onRefused?.({ method: spec.method, protocol: codec.protocol, error, durationMs });
    }
    reply = encodeError(codec, error, context);
  } finally {
    context?.abort();
    gone.stop();
  }
  try {
    send(request, response, reply);
  } catch (thrown) {
    // A header that HTTP cannot carry. Nothing of the reply has been sent.
    send(request, response, encodeError(codec, withErrorInfo(thrown)));
  }
}

/** Timers count to this. A deadline beyond it, of 24 days, is none. */
export const timeoutMsMax = 2 ** 31 - 1;

/** @throws INVALID_ARGUMENT if the deadline that the headers ask for is none. */
export function createContext(
  request: NodeRequest,
  method: DescMethod,
  codec: Codec,
  shutdownSignal: AbortSignal | undefined,
  requestSignal: AbortSignal,
): CallContext {
  const requestHeader = headersOf(request);
  const timeoutMs = codec.timeoutMs(requestHeader);
  return createHandlerContext({
    service: method.parent,
    method,
    protocolName: codec.protocol,
    requestMethod: request.method ?? "POST",
    url: urlOf(request),
    timeoutMs: timeoutMs !== undefined && timeoutMs <= timeoutMsMax ? timeoutMs : undefined,
    requestSignal,
    shutdownSignal,
    requestHeader,
    contextValues: createContextValues()
      .set(protocolName, codec.protocol)
      .set(peerAddress, peerAddressOf(request)),
  });
}

export async function readMessage(
  request: NodeRequest,
  { signal, requestHeader }: CallContext,
  codec: Codec,
  messageBytesMax: number,
): Promise<Message> {
  const bytesMax = codec.bodyBytesMax ?? messageBytesMax;
  const limits = { bytesMax, messageBytesMax, checkStart: codec.checkStart };
  const message = await codec.decode(requestHeader, await readBody(request, limits, signal));
  // Nobody waits for it any more: it must have no effect.
  signal.throwIfAborted();
  return message;
}

/** Waits for an outcome, but no longer than until the signal aborts, whether or not whoever works on it notices. */
export function untilAborted<T>(outcome: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    outcome.then(resolve, reject);
  });
}

/** What the caller is told of a call that was stopped. */
export function reasonOf({ reason }: AbortSignal, thrown: unknown): unknown {
  if (thrown !== reason) return thrown;
  if (!(reason instanceof ConnectError))
    return wireError(Code.Unavailable, "UNAVAILABLE", "the service is shutting down: send the call again");
  if (reason.code !== Code.DeadlineExceeded) return reason;
  return wireError(
    Code.DeadlineExceeded,
    "DEADLINE_EXCEEDED",
    "the deadline of the call has passed: allow more time",
  );
}

export function encodeError(codec: Codec, error: ConnectError, context?: CallContext): Reply {
  try {
    return codec.error(
      error,
      context?.responseHeader ?? new Headers(),
      context?.responseTrailer ?? new Headers(),
    );
  } catch (thrown) {
    // Its details or its message cannot be encoded, such as half a surrogate pair in a URI.
    return codec.error(withErrorInfo(thrown), new Headers(), new Headers());
  }
}
