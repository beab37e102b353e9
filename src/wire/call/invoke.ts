import { create, type Message } from "@bufbuild/protobuf";
import type {
  HandlerContext,
  Interceptor,
  MethodImplSpec,
  UnaryRequest,
  UnaryResponse,
} from "@connectrpc/connect";
import type { Call } from "./call.ts";

/** A unary method and what it does. */
export type UnarySpec = Extract<MethodImplSpec, { kind: "unary" }>;

/** Calls the method through its interceptors, as connect-node does. */
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

/** What a method is given: what interceptors made of the request counts. */
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

/** Gives an object the signal of its source, which is asked for it only when somebody reads it. */
function withLazySignal<T extends { [source]: HasSignal }>(to: T): T & HasSignal {
  return Object.defineProperty(to, "signal", lazySignal) as T & HasSignal;
}
