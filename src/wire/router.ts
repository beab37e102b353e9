import type { DescMethod } from "@bufbuild/protobuf";
import { Code, type ConnectError, createServiceImplSpec } from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import type { Codec } from "./call/codec.ts";
import { isIdentity } from "./call/compression.ts";
import type { EngineOptions } from "./call/engine-options.ts";
import type { UnarySpec } from "./call/invoke.ts";
import type { NodeRequest } from "./call/node-http.ts";
import type { Reply } from "./call/send.ts";
import { wireError } from "./call/wire-error.ts";
import { createConnectNodeHandler } from "./connect-node/handler.ts";
import { codecsOf, contentTypeOf, grpcRefusal } from "./protocols/codecs.ts";
import { admitsReply } from "./rest/accept.ts";
import { bindPath } from "./rest/bind-path.ts";
import { type RestRoute, replyType, restCodec, restError } from "./rest/rest.ts";
import { createRestRouter } from "./rest/rules.ts";
import type { StreamCall, StreamSpec } from "./rest/stream.ts";
import type { BoundService } from "./service.ts";

/** How to answer a request. */
export type Plan =
  | { readonly kind: "unary"; readonly spec: UnarySpec; readonly codec: Codec }
  | { readonly kind: "rest-stream"; readonly call: StreamCall }
  | { readonly kind: "connect-node"; readonly handler: UniversalHandler }
  | { readonly kind: "reply"; readonly reply: Reply }
  | {
      readonly kind: "refuse";
      readonly method?: DescMethod | undefined;
      readonly protocol: string;
      readonly error: ConnectError;
      readonly encode: (error: ConnectError) => Reply;
    };

export interface RouterOptions {
  readonly services: readonly BoundService[];
  readonly aliases: Readonly<Record<string, DescMethod>>;
  readonly rpcOnRestPaths: boolean;
  readonly engineOptions: EngineOptions;
}

/** How a method can be called. */
interface Endpoint {
  /** The HTTP methods of its RPC paths. */
  readonly allow: readonly string[];
  /** For unary methods. */
  readonly unary?: { readonly spec: UnarySpec; readonly codecs: ReadonlyMap<string, Codec> };
  /** For server-streaming methods. */
  readonly stream?: StreamSpec;
  /** For streams over RPC, and everything else that the unary engine doesn't serve. */
  readonly connectNode: UniversalHandler;
}

/**
 * Creates a function that decides how to answer a request. RPC paths are found with one map lookup, REST paths by the
 * `google.api.http` rules.
 *
 * @throws Error if a rule is invalid, two rules have the same shape, a method is served twice, or two methods have the
 * same path.
 */
export function createRouter(options: RouterOptions): (request: NodeRequest) => Plan {
  const { engineOptions, rpcOnRestPaths } = options;
  const endpoints = endpointsOf(options.services, engineOptions);
  const byPath = pathsOf(endpoints, options.aliases);
  const routes = createRestRouter([...endpoints.keys()]);

  const planRest = (
    method: string,
    path: string,
    query: string,
    contentType: string,
    accept: string | undefined,
  ): Plan => {
    let found = routes.find(method, path);
    // HEAD is served like GET (RFC 9110 §9.3.2), unless it has a rule of its own.
    if (method === "HEAD" && found.kind !== "match") found = routes.find("GET", path);
    if (found.kind === "not_found") return planUnknown(contentType);
    if (found.kind === "method_not_allowed") {
      const allow = found.allow.includes("GET") ? [...found.allow, "HEAD"] : found.allow;
      return method === "OPTIONS" ? optionsReply(allow) : methodNotAllowed(allow);
    }
    const { route } = found;
    const { unary, stream } = endpoints.get(route.method) ?? {};
    const takesRpc = rpcOnRestPaths && method === "POST" && !route.isRawRequest;
    const rpc = takesRpc && isRpcBody(contentType) && unary?.codecs.get(contentType);
    if (!rpc && !admitsReply(accept, route)) return notAcceptable(route);
    const codec = rpc ? bindPath(rpc, found, query) : restCodec(found, query, engineOptions.messageBytesMax);
    if (unary) return { kind: "unary", spec: unary.spec, codec };
    if (stream) return { kind: "rest-stream", call: { spec: stream, route, codec } };
    return planUnknown(contentType);
  };

  return (request) => {
    const { url = "", method = "", headers } = request;
    const mark = url.indexOf("?");
    const path = mark === -1 ? url : url.slice(0, mark);
    const contentType = contentTypeOf(headers["content-type"]);
    const endpoint = byPath.get(path);
    if (endpoint) return planRpc(endpoint, request, contentType);
    return planRest(method, path, mark === -1 ? "" : url.slice(mark + 1), contentType, headers.accept);
  };
}

function planRpc(
  { allow, unary, connectNode }: Endpoint,
  { method = "", headers }: NodeRequest,
  contentType: string,
): Plan {
  if (method === "OPTIONS") return optionsReply(allow);
  if (!allow.includes(method)) return methodNotAllowed(allow);
  if (method === "POST" && unary) {
    const codec = unary.codecs.get(contentType);
    if (!codec) return mediaTypeUnsupported(unaryTypes);
    return isForUnaryEngine(codec, headers)
      ? { kind: "unary", spec: unary.spec, codec }
      : { kind: "connect-node", handler: connectNode };
  }
  if (unary || connectNode.supportedContentType(contentType))
    return { kind: "connect-node", handler: connectNode };
  return mediaTypeUnsupported(streamTypes);
}

/** Whether the message is uncompressed or gzip. Other compressions, and headers of streams, are left to connect-node. */
function isForUnaryEngine({ codingHeader }: Codec, headers: NodeRequest["headers"]): boolean {
  if (codingHeader === undefined) return true;
  const coding = headers[codingHeader];
  const isPlain = coding === undefined || coding === "gzip" || isIdentity(coding as string);
  return isPlain && headers["connect-content-encoding"] === undefined;
}

function planUnknown(contentType: string): Plan {
  const unimplemented = wireError(Code.Unimplemented, "UNIMPLEMENTED", "there is no such method");
  const grpc = grpcRefusal(contentType);
  if (grpc) return { kind: "refuse", ...grpc, error: unimplemented };
  const message = "there is no method at this path: check the API reference";
  return refuse(wireError(Code.NotFound, "ROUTE_NOT_FOUND", message));
}

/** Whether the body of a request on a REST path is an RPC message. JSON always is a REST body. */
function isRpcBody(contentType: string): boolean {
  return contentType !== "application/json";
}

function refuse(error: ConnectError, header?: Headers, method?: DescMethod): Plan {
  return { kind: "refuse", method, protocol: "rest", error, encode: (error) => restError(error, header) };
}

function notAcceptable(route: RestRoute): Plan {
  const type = replyType(route);
  const or = type === "application/json" ? "" : " or application/json";
  const message = `the reply is ${type}: accept ${type}${or}`;
  return refuse(wireError(Code.InvalidArgument, "NOT_ACCEPTABLE", message), undefined, route.method);
}

function methodNotAllowed(allow: readonly string[]): Plan {
  const message = `call this path with ${allow.join(" or ")}`;
  return refuse(wireError(Code.Unimplemented, "METHOD_NOT_ALLOWED", message), allowed(allow));
}

function optionsReply(allow: readonly string[]): Plan {
  return { kind: "reply", reply: { status: 204, header: allowed(allow), body: new Uint8Array() } };
}

/** RFC 9110 §10.2.1: every existing path answers OPTIONS. */
function allowed(methods: readonly string[]): Headers {
  return new Headers({ allow: [...methods, "OPTIONS"].join(", ") });
}

const unaryTypes =
  "application/json, application/proto, application/grpc, application/grpc-web, application/grpc-web-text";
const streamTypes =
  "application/connect+json, application/connect+proto, application/grpc, application/grpc-web";

function mediaTypeUnsupported(types: string): Plan {
  const message = `this content type is not supported: send one of ${types}`;
  const error = wireError(Code.InvalidArgument, "MEDIA_TYPE_UNSUPPORTED", message);
  return refuse(error, new Headers({ "accept-post": types }));
}

function endpointsOf(
  services: readonly BoundService[],
  engineOptions: EngineOptions,
): Map<DescMethod, Endpoint> {
  const endpoints = new Map<DescMethod, Endpoint>();
  for (const { service, implementation } of services) {
    const { methods: specs } = createServiceImplSpec(service, implementation);
    for (const spec of Object.values(specs)) {
      if (endpoints.has(spec.method)) throw new Error(`${spec.method} is served twice`);
      const connectNode = createConnectNodeHandler(spec, engineOptions);
      endpoints.set(spec.method, {
        allow: connectNode.allowedMethods,
        ...(spec.kind === "unary" && {
          unary: { spec, codecs: codecsOf(spec.method, engineOptions.messageBytesMax) },
        }),
        ...(spec.kind === "server_streaming" && { stream: spec }),
        connectNode,
      });
    }
  }
  return endpoints;
}

function pathsOf(
  endpoints: ReadonlyMap<DescMethod, Endpoint>,
  aliases: Readonly<Record<string, DescMethod>>,
): Map<string, Endpoint> {
  const byPath = new Map<string, Endpoint>();
  const add = (path: string, method: DescMethod) => {
    const endpoint = endpoints.get(method);
    if (!endpoint) throw new Error(`${path} is an alias of ${method}, which is not served`);
    if (byPath.has(path)) throw new Error(`${path} is the path of two methods`);
    byPath.set(path, endpoint);
  };
  for (const method of endpoints.keys()) add(`/${method.parent.typeName}/${method.name}`, method);
  for (const [path, method] of Object.entries(aliases)) add(path, method);
  return byPath;
}
