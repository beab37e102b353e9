import { setMaxListeners } from "node:events";
import type { DescMethod } from "@bufbuild/protobuf";
import type { ContextValues, Interceptor } from "@connectrpc/connect";
import { type Call, protocolName } from "./call/call.ts";
import type { RefusedRequest } from "./call/engine-options.ts";
import type { NodeHandler } from "./call/node-http.ts";
import { send } from "./call/send.ts";
import { serveUnary } from "./call/unary-engine.ts";
import { withErrorInfo } from "./call/wire-error.ts";
import { serveConnectNode } from "./connect-node/handler.ts";
import { restError } from "./rest/rest.ts";
import { serveStream } from "./rest/stream.ts";
import { createRouter } from "./router.ts";
import type { BoundService } from "./service.ts";

export { type CallEnd, callEnd, peerAddress } from "./call/call.ts";
export type { RefusedRequest } from "./call/engine-options.ts";
export type { NodeHandler } from "./call/node-http.ts";
export { type BoundService, bind } from "./service.ts";

export interface WireOptions {
  readonly services: readonly BoundService[];
  /** Additional RPC paths of methods, for Connect, gRPC and gRPC-Web. */
  readonly aliases?: Readonly<Record<string, DescMethod>>;
  readonly interceptors?: readonly Interceptor[];
  /** The largest message in bytes, also after decompression. Defaults to 64 KiB. */
  readonly messageBytesMax?: number;
  /** The `domain` of ErrorInfo (AIP-193) for errors that don't name one. Empty by default. */
  readonly errorDomain?: string;
  /** Stops running calls with UNAVAILABLE when it aborts. */
  readonly shutdownSignal?: AbortSignal;
  /**
   * Whether a POST to a REST path may have a gRPC, gRPC-Web or `application/proto` body, into which the path variables are
   * bound. Otherwise it is rejected with 415.
   */
  readonly rpcOnRestPaths?: boolean;
  /** Called for requests that fail before the interceptors run. Must not throw. */
  readonly onRefused?: (refused: RefusedRequest) => void;
}

/** The protocol of a call, for interceptors: connect, grpc, grpc-web or rest. */
export function protocolOf(request: { readonly contextValues: ContextValues }): string {
  return request.contextValues.get(protocolName);
}

/**
 * Creates a handler that serves services over Connect, gRPC and gRPC-Web, and over REST the methods that take a single
 * message and have a `google.api.http` rule.
 *
 * The handler never throws, and answers every request unless the client has disconnected.
 *
 * @throws Error if a rule is invalid, two rules have the same shape, or two methods have the same path.
 */
export function createWire(options: WireOptions): NodeHandler {
  const { services, aliases = {}, rpcOnRestPaths = false, shutdownSignal, onRefused } = options;
  const { interceptors = [], messageBytesMax = 64 * 1024, errorDomain = "" } = options;
  const running = new Set<Call>();
  const engineOptions = {
    interceptors: [...interceptors],
    messageBytesMax,
    errorDomain,
    shutdownSignal,
    running,
    onRefused,
  };
  if (shutdownSignal) {
    shutdownSignal.addEventListener("abort", () => {
      for (const call of [...running]) call.stop(shutdownSignal.reason);
    });
    // Each stream adds a listener, and Node warns about a leak after 10.
    setMaxListeners(0, shutdownSignal);
  }
  const planFor = createRouter({ services, aliases, rpcOnRestPaths, engineOptions });

  return (request, response) => {
    // An "error" event without a listener would end the process. Reading and writing have listeners of their own.
    if (request.listenerCount("error") === 0) request.on("error", ignore);
    if (response.listenerCount("error") === 0) response.on("error", ignore);
    const abort = () => void response.destroy();
    try {
      const plan = planFor(request);
      switch (plan.kind) {
        case "unary":
          serveUnary(request, response, plan.spec, plan.codec, engineOptions).catch(abort);
          break;
        case "rest-stream":
          serveStream(request, response, plan.call, engineOptions).catch(abort);
          break;
        case "connect-node":
          serveConnectNode(request, response, plan.handler, engineOptions).catch(abort);
          break;
        case "refuse": {
          const { method, protocol, encode } = plan;
          const error = withErrorInfo(plan.error, errorDomain);
          onRefused?.({ method, protocol, error, durationMs: 0 });
          send(request, response, encode(error));
          break;
        }
        case "reply":
          send(request, response, plan.reply);
      }
    } catch (thrown) {
      send(request, response, restError(withErrorInfo(thrown, errorDomain)));
    }
  };
}

function ignore(): void {}
