import type { DescMethodUnary, DescService } from "@bufbuild/protobuf";
import {
  Code,
  type ConnectError,
  type ContextValues,
  type Interceptor,
  type ServiceImpl,
} from "@connectrpc/connect";
import { connectCodec } from "./connect.ts";
import { grpcCodec, grpcError } from "./grpc.ts";
import { grpcWebCodec } from "./grpc-web.ts";
import { bindPath } from "./rest/bind-path.ts";
import { createRestRouter, restCodec, restError } from "./rest/rest.ts";
import {
  type Codec,
  type Endpoint,
  type LaneOptions,
  type NodeHandler,
  protocolName,
  type RefusedRequest,
  send,
  serveUnary,
} from "./unary.ts";
import { wireError } from "./wire-error.ts";

export interface WireOptions {
  readonly services: readonly BoundService[];
  /** Further paths that answer as a method: over Connect, gRPC and gRPC-Web. */
  readonly aliases?: Readonly<Record<string, DescMethodUnary>>;
  readonly interceptors?: readonly Interceptor[];
  /** Of a message, also after decompression. 64 KiB unless given. */
  readonly messageBytesMax?: number;
  /**
   * Whether a POST to a REST path may also have a body of gRPC, gRPC-Web or `application/proto`, with the variables of
   * the path bound into the message. Otherwise it is refused with 415, as the strict profile has it.
   */
  readonly rpcOnRestPaths?: boolean;
  /** Told of requests that are answered with an error before any interceptor sees them. It must not throw. */
  readonly onRefused?: (refused: RefusedRequest) => void;
}

export interface BoundService {
  readonly service: DescService;
  readonly implementation: Readonly<Record<string, unknown>>;
}

/** Binds a service to its implementation. */
export function bind<S extends DescService>(service: S, implementation: ServiceImpl<S>): BoundService {
  return { service, implementation };
}

/** The protocol that a call came by, for interceptors: connect, grpc, grpc-web or rest. */
export function protocolOf(request: { readonly contextValues: ContextValues }): string {
  return request.contextValues.get(protocolName);
}

/**
 * Serves unary methods over Connect, gRPC, gRPC-Web and, by their `google.api.http` rules, REST.
 *
 * @throws at once on a rule that is not valid, or two of the same shape.
 */
export function createWire(options: WireOptions): NodeHandler {
  const { interceptors = [], messageBytesMax = 64 * 1024, rpcOnRestPaths = false, onRefused } = options;
  const lane: LaneOptions = { interceptors: [...interceptors], messageBytesMax, onRefused };
  const endpoints = endpointsOf(options.services);
  const byPath = pathsOf(endpoints, options.aliases ?? {});
  const routes = createRestRouter([...endpoints.keys()]);

  return (request, response) => {
    // An error that nobody listens to ends the process. Whoever reads or writes notices by itself.
    request.on("error", ignore);
    response.on("error", ignore);
    const { url = "", method = "" } = request;
    const mark = url.indexOf("?");
    const path = mark === -1 ? url : url.slice(0, mark);
    const contentType = (request.headers["content-type"] ?? "").toLowerCase();
    const serve = (endpoint: Endpoint | undefined, codec: Codec) => {
      if (!endpoint) return;
      serveUnary(request, response, endpoint, codec, lane).catch(() => response.destroy());
    };
    const refuse = (error: ConnectError, header = new Headers()) => {
      onRefused?.({ method: undefined, protocol: "rest", error, durationMs: 0 });
      send(request, response, restError(error, header));
    };

    const sendOptions = (allow: readonly string[]) => {
      send(request, response, { status: 204, header: allowed(allow), body: new Uint8Array() });
    };

    const endpoint = byPath.get(path);
    if (endpoint) {
      if (method === "OPTIONS") return sendOptions(["POST"]);
      if (method !== "POST") return refuse(...methodNotAllowed(["POST"]));
      const codec = codecOf(endpoint.method, contentType, messageBytesMax);
      return codec ? serve(endpoint, codec) : refuse(...mediaTypeUnsupported());
    }
    let found = routes.find(method, path);
    // HEAD is GET without the body (RFC 9110 §9.3.2), unless a rule has a HEAD of its own.
    if (method === "HEAD" && found.kind !== "match") found = routes.find("GET", path);
    if (found.kind === "match") {
      const query = mark === -1 ? "" : url.slice(mark + 1);
      const rpc =
        rpcOnRestPaths && method === "POST" && codecOf(found.route.method, contentType, messageBytesMax);
      const codec =
        rpc && !contentType.startsWith("application/json")
          ? bindPath(rpc, found, query)
          : restCodec(found, query, messageBytesMax);
      serve(endpoints.get(found.route.method), codec);
    } else if (found.kind === "method_not_allowed") {
      const allow = found.allow.includes("GET") ? [...found.allow, "HEAD"] : found.allow;
      if (method === "OPTIONS") sendOptions(allow);
      else refuse(...methodNotAllowed(allow));
    } else if (/^application\/grpc($|[;+])/.test(contentType)) {
      const error = wireError(Code.Unimplemented, "UNIMPLEMENTED", "there is no such method");
      onRefused?.({ method: undefined, protocol: "grpc", error, durationMs: 0 });
      send(request, response, grpcError("application/grpc", error, new Headers(), new Headers()));
    } else {
      refuse(
        wireError(
          Code.NotFound,
          "ROUTE_NOT_FOUND",
          "there is nothing at this path: check it against the contract",
        ),
      );
    }
  };
}

function endpointsOf(services: readonly BoundService[]): Map<DescMethodUnary, Endpoint> {
  const endpoints = new Map<DescMethodUnary, Endpoint>();
  for (const { service, implementation } of services) {
    for (const method of service.methods) {
      if (method.methodKind !== "unary") throw new Error(`${method} is no unary method`);
      const unary = method as DescMethodUnary;
      const impl = implementation[method.localName] as Endpoint["spec"]["impl"];
      endpoints.set(unary, { service, method: unary, spec: { kind: "unary", method: unary, impl } });
    }
  }
  return endpoints;
}

function pathsOf(
  endpoints: ReadonlyMap<DescMethodUnary, Endpoint>,
  aliases: Readonly<Record<string, DescMethodUnary>>,
): Map<string, Endpoint> {
  const byPath = new Map<string, Endpoint>();
  for (const endpoint of endpoints.values()) {
    byPath.set(`/${endpoint.service.typeName}/${endpoint.method.name}`, endpoint);
  }
  for (const [path, method] of Object.entries(aliases)) {
    const endpoint = endpoints.get(method);
    if (!endpoint) throw new Error(`${path} is an alias of ${method}, which is not served`);
    byPath.set(path, endpoint);
  }
  return byPath;
}

function codecOf(method: DescMethodUnary, contentType: string, messageBytesMax: number): Codec | undefined {
  const type = contentType.split(";", 1)[0]?.trim() ?? "";
  const format = type.endsWith("json") ? "json" : "proto";
  if (type === "application/json" || type === "application/proto")
    return connectCodec(method, format, messageBytesMax);
  if (/^application\/grpc(\+proto|\+json)?$/.test(type))
    return grpcCodec(method, type, format, messageBytesMax);
  const web = /^application\/grpc-web(-text)?(\+proto|\+json)?$/.exec(type);
  return web ? grpcWebCodec(method, type, format, web[1] !== undefined, messageBytesMax) : undefined;
}

function methodNotAllowed(allow: readonly string[]): [ConnectError, Headers] {
  const error = wireError(
    Code.Unimplemented,
    "METHOD_NOT_ALLOWED",
    `call this path with ${allow.join(" or ")}`,
  );
  return [error, allowed(allow)];
}

/** RFC 9110 §10.2.1: every path that is there can be asked for its OPTIONS. */
function allowed(methods: readonly string[]): Headers {
  return new Headers({ allow: [...methods, "OPTIONS"].join(", ") });
}

function mediaTypeUnsupported(): [ConnectError, Headers] {
  const types =
    "application/json, application/proto, application/grpc, application/grpc-web, application/grpc-web-text";
  const error = wireError(
    Code.InvalidArgument,
    "MEDIA_TYPE_UNSUPPORTED",
    `this content type is not supported: send one of ${types}`,
  );
  return [error, new Headers({ "accept-post": types })];
}

function ignore(): void {}
