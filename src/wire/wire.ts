import { setMaxListeners } from "node:events";
import type { DescMethod } from "@bufbuild/protobuf";
import type { ContextValues, Interceptor } from "@connectrpc/connect";
import { type Call, protocolName } from "./call/call.ts";
import type { NodeHandler } from "./call/node-http.ts";
import { send } from "./call/send.ts";
import { type RefusedRequest, serveUnary } from "./call/unary.ts";
import { withErrorInfo } from "./call/wire-error.ts";
import { serveConnectNode } from "./connect-node/handler.ts";
import { restError } from "./rest/rest.ts";
import { serveStream } from "./rest/stream.ts";
import { createRouter } from "./router.ts";
import type { BoundService } from "./service.ts";

export { type CallEnd, callEnd, peerAddress } from "./call/call.ts";
export type { NodeHandler } from "./call/node-http.ts";
export type { RefusedRequest } from "./call/unary.ts";
export { type BoundService, bind } from "./service.ts";

export interface WireOptions {
  readonly services: readonly BoundService[];
  /** Further paths that answer as a method: over Connect, gRPC and gRPC-Web. */
  readonly aliases?: Readonly<Record<string, DescMethod>>;
  readonly interceptors?: readonly Interceptor[];
  /** Of a message, also after decompression. 64 KiB unless given. */
  readonly messageBytesMax?: number;
  /** The `domain` of ErrorInfo (AIP-193) in errors that say none themselves. None unless given. */
  readonly errorDomain?: string;
  /** Ends the calls that still run when it aborts: they answer UNAVAILABLE. */
  readonly shutdownSignal?: AbortSignal;
  /**
   * Whether a POST to a REST path may also have a body of gRPC, gRPC-Web or `application/proto`, with the variables of
   * the path bound into the message. Otherwise it is refused with 415, as the strict profile has it.
   */
  readonly rpcOnRestPaths?: boolean;
  /** Told of requests that are answered with an error before any interceptor sees them. It must not throw. */
  readonly onRefused?: (refused: RefusedRequest) => void;
}

/** The protocol that a call came by, for interceptors: connect, grpc, grpc-web or rest. */
export function protocolOf(request: { readonly contextValues: ContextValues }): string {
  return request.contextValues.get(protocolName);
}

/**
 * Serves services over Connect, gRPC and gRPC-Web, and, by their `google.api.http` rules, over REST the methods that
 * take one message.
 *
 * The handler never throws, and answers every request whose client is still there.
 *
 * @throws at once on a rule that is not valid, two rules of the same shape, or two methods on one path.
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
    // Every stream listens to it. Node 20 takes more than 10 listeners for a leak.
    setMaxListeners(0, shutdownSignal);
  }
  const planFor = createRouter({ services, aliases, rpcOnRestPaths, engineOptions });

  return (request, response) => {
    // An error that nobody listens to ends the process. Whoever reads or writes notices by itself.
    if (request.listenerCount("error") === 0) request.on("error", ignore);
    if (response.listenerCount("error") === 0) response.on("error", ignore);
    const drop = () => void response.destroy();
    try {
      const plan = planFor(request);
      switch (plan.kind) {
        case "call":
          serveUnary(request, response, plan.spec, plan.codec, engineOptions).catch(drop);
          break;
        case "stream":
          serveStream(request, response, plan.call, engineOptions).catch(drop);
          break;
        case "connect-node":
          serveConnectNode(request, response, plan.handler, engineOptions).catch(drop);
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
