import { create, type DescMethod, type Message } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type HandlerContext,
  type Interceptor,
  type MethodImplSpec,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { Call } from "./call.ts";
import type { NodeRequest, NodeResponse } from "./node-http.ts";
import { type BodyRules, readBody } from "./read-body.ts";
import { type Reply, send } from "./send.ts";
import { wireError, withErrorInfo } from "./wire-error.ts";

export type { Reply } from "./send.ts";

/** A unary method and what it does. */
export type UnarySpec = Extract<MethodImplSpec, { kind: "unary" }>;

/** What of the context of a call goes into its reply. */
export type ReplyContext = Pick<HandlerContext, "requestHeader" | "responseHeader" | "responseTrailer">;

/** How one protocol spells a call: bytes to message and back. It knows no sockets. */
export interface Codec extends BodyRules {
  readonly protocol: string;
  /** The deadline that the headers ask for, in milliseconds. @throws INVALID_ARGUMENT */
  timeoutMs(header: Headers): number | undefined;
  /** @throws ConnectError if the body is not a message. */
  decode(header: Headers, body: Uint8Array): Promise<Message> | Message;
  reply(context: ReplyContext, message: Message): Promise<Reply> | Reply;
  /** `header` and `trailer`: what the method set before it failed. */
  error(error: ConnectError, header: Headers, trailer: Headers): Reply;
}

export interface LaneOptions {
  readonly interceptors: Interceptor[];
  /** Of a message, also after decompression. */
  readonly messageBytesMax: number;
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
  options: LaneOptions,
): Promise<void> {
  const start = performance.now();
  const call = new Call(request, response, codec.protocol);
  let isCalled = false;
  let reply: Reply;
  try {
    call.begin(codec.timeoutMs(call.requestHeader), options);
    const body = await readBody(request, codec, options.messageBytesMax, call);
    let message = codec.decode(call.requestHeader, body);
    if (message instanceof Promise) message = await call.untilStopped(message);
    isCalled = true;
    const {
      message: output,
      header,
      trailer,
    } = await call.untilStopped(invoke(spec, call, message, options));
    const context = { requestHeader: call.requestHeader, responseHeader: header, responseTrailer: trailer };
    const encoded = codec.reply(context, output);
    reply = encoded instanceof Promise ? await call.untilStopped(encoded) : encoded;
  } catch (thrown) {
    const error = withErrorInfo(call.isStopped && thrown === call.reason ? whyStopped(thrown) : thrown);
    if (!isCalled) {
      const durationMs = performance.now() - start;
      options.onRefused?.({ method: spec.method, protocol: codec.protocol, error, durationMs });
    }
    reply = encodeError(codec, error, call.responseHeader, call.responseTrailer);
  } finally {
    call.end(options);
  }
  try {
    send(request, response, reply);
  } catch (thrown) {
    // A header that HTTP cannot carry. Nothing of the reply has been sent.
    send(request, response, encodeError(codec, withErrorInfo(thrown)));
  }
}

/** Calls the method through its interceptors, as connect-node does. */
function invoke(
  spec: UnarySpec,
  call: Call,
  message: Message,
  { interceptors }: LaneOptions,
): Promise<UnaryResponse> {
  const { method } = spec;
  let next = async (request: UnaryRequest): Promise<UnaryResponse> => ({
    stream: false,
    service: method.parent,
    method,
    message: create(method.output, await spec.impl(request.message, contextOf(call, request))),
    header: call.responseHeader,
    trailer: call.responseTrailer,
  });
  for (let i = interceptors.length - 1; i >= 0; i--) next = interceptors[i]!(next as never) as typeof next;
  const request = {
    stream: false as const,
    service: method.parent,
    method,
    requestMethod: call.requestMethod,
    url: call.url,
    header: call.requestHeader,
    contextValues: call.values,
    message,
  };
  return next(withSignalOf(call, request));
}

/** What the method is given: what interceptors made of the request counts. */
function contextOf(call: Call, request: UnaryRequest): HandlerContext {
  return withSignalOf(request, {
    service: request.service,
    method: request.method,
    protocolName: call.protocol,
    requestMethod: call.requestMethod,
    url: call.url,
    timeoutMs: () => call.timeoutMs(),
    requestHeader: request.header,
    responseHeader: call.responseHeader,
    responseTrailer: call.responseTrailer,
    values: request.contextValues,
  });
}

interface HasSignal {
  readonly signal: AbortSignal;
}

const source = Symbol("where the signal comes from");

/**
 * Of the object itself and enumerable, so that a copy has it. One getter for all: to an object with a getter of its own
 * V8 gives a shape of its own, which lives until the next collection of everything, with all that the getter refers to.
 */
const lazySignal: PropertyDescriptor & ThisType<{ [source]: HasSignal }> = {
  enumerable: true,
  configurable: true,
  get() {
    return this[source].signal;
  },
};

/** Gives an object the signal of another, which is asked for it only when somebody reads it. */
function withSignalOf<T extends object>(from: HasSignal, to: T): T & HasSignal {
  return Object.defineProperty(Object.assign(to, { [source]: from }), "signal", lazySignal) as unknown as T &
    HasSignal;
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
function whyStopped(reason: unknown): unknown {
  if (!(reason instanceof ConnectError))
    return wireError(Code.Unavailable, "UNAVAILABLE", "the service is shutting down: send the call again");
  if (reason.code !== Code.DeadlineExceeded) return reason;
  return wireError(
    Code.DeadlineExceeded,
    "DEADLINE_EXCEEDED",
    "the deadline of the call has passed: allow more time",
  );
}

function encodeError(
  codec: Codec,
  error: ConnectError,
  header = new Headers(),
  trailer = new Headers(),
): Reply {
  try {
    return codec.error(error, header, trailer);
  } catch (thrown) {
    // Its details or its message cannot be encoded, such as half a surrogate pair in a URI.
    return codec.error(withErrorInfo(thrown), new Headers(), new Headers());
  }
}
