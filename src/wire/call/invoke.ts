import { create, type Message } from "@bufbuild/protobuf";
import type {
  HandlerContext,
  Interceptor,
  MethodImplSpec,
  UnaryRequest,
  UnaryResponse,
} from "@connectrpc/connect";
import type { Call } from "./call.ts";

/** A unary method and its implementation. */
export type UnarySpec = Extract<MethodImplSpec, { kind: "unary" }>;

/** Calls the method through the interceptors, like connect-node does. */
export function invoke(
  spec: UnarySpec,
  call: Call,
  message: Message,
  interceptors: readonly Interceptor[],
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
    [source]: call,
  };
  return next(withLazySignal(request));
}

/** Creates the context for a method from the request as the interceptors left it. */
export function contextOf(call: Call, request: RequestPart): HandlerContext {
  return withLazySignal({
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
    [source]: request,
  });
}

type RequestPart = Pick<UnaryRequest, "service" | "method" | "header" | "contextValues" | "signal">;

interface HasSignal {
  readonly signal: AbortSignal;
}

const source = Symbol("source of the signal");

/**
 * An own enumerable property, so that `{ ...request }` has it too. All objects share this getter: with one getter per
 * object, V8 creates a hidden class per object, which keeps everything the getter refers to alive until the next full
 * garbage collection (docs/performance.md).
 */
const lazySignal: PropertyDescriptor & ThisType<{ [source]: HasSignal }> = {
  enumerable: true,
  configurable: true,
  get() {
    return this[source].signal;
  },
};

/** Adds the signal of its source to an object, without reading it: that would create an AbortSignal. */
function withLazySignal<T extends { [source]: HasSignal }>(to: T): T & HasSignal {
  return Object.defineProperty(to, "signal", lazySignal) as T & HasSignal;
}
