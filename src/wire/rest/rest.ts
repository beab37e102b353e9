import {
  create,
  createRegistry,
  type DescMessage,
  type DescMethod,
  type DescMethodUnary,
  getOption,
  hasOption,
  type JsonObject,
  type JsonValue,
  type Message,
  toJson,
  toJsonString,
} from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectError } from "@connectrpc/connect";
import { http } from "../../../gen/google/api/annotations_pb.ts";
import type { HttpRule } from "../../../gen/google/api/http_pb.ts";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../../gen/google/rpc/status_pb.ts";
import { decompress } from "../compression.ts";
import { messageFromJson, parseJson } from "../json.ts";
import { retryAfter } from "../retry-after.ts";
import type { Codec, Reply } from "../unary.ts";
import { malformed, wireError } from "../wire-error.ts";
import { type PathTemplate, parsePathTemplate } from "./path-template.ts";
import { type Found, RouteTrie } from "./route-trie.ts";

/** A `google.api.http` rule of a method, read. */
export interface RestRoute {
  readonly method: DescMethodUnary;
  readonly template: PathTemplate;
  /** "*", the name of a field, or "". */
  readonly body: string;
}

/** @throws Error at start on a rule that is not valid, or two of the same shape. */
export function createRestRouter(methods: readonly DescMethod[]): RouteTrie<RestRoute> {
  const trie = new RouteTrie<RestRoute>();
  for (const method of methods) {
    if (method.methodKind !== "unary" || !hasOption(method, http)) continue;
    const rule = getOption(method, http);
    for (const binding of [rule, ...rule.additionalBindings])
      addRule(trie, method as DescMethodUnary, binding);
  }
  return trie;
}

function addRule(trie: RouteTrie<RestRoute>, method: DescMethodUnary, rule: HttpRule): void {
  const { pattern, body } = rule;
  if (pattern.case === undefined) throw new Error(`${method} has a rule without a path`);
  const custom = pattern.case === "custom";
  const path = custom ? pattern.value.path : pattern.value;
  const template = parsePathTemplate(path);
  for (const variable of template.variables) {
    if (!method.input.fields.some((field) => field.name === variable.path && field.fieldKind === "scalar")) {
      throw new Error(
        `${method}: ${path} binds ${variable.path}, which is no scalar field of ${method.input.typeName}`,
      );
    }
  }
  trie.add(
    (custom ? pattern.value.kind : pattern.case).toUpperCase(),
    template,
    { method, template, body },
    (route) => String(route.method),
  );
}

type Match = Extract<Found<RestRoute>, { kind: "match" }>;

/** JSON over HTTP by the rule: the fourth protocol. */
export function restCodec(match: Match, query: string, messageBytesMax: number): Codec {
  const { method } = match.route;
  return {
    protocol: "rest",
    timeoutMs: () => undefined,
    async decode(header, body) {
      const bytes = await decompress(header.get("content-encoding"), body, messageBytesMax);
      return bind(match, query, header.get("content-type") ?? "", bytes);
    },
    reply(context, message) {
      const header = new Headers(context.responseHeader);
      header.set("content-type", "application/json");
      return { status: 200, header, body: Buffer.from(toJsonString(method.output, message)) };
    },
    error: restError,
  };
}

function bind({ route, segments }: Match, query: string, contentType: string, body: Uint8Array): Message {
  const { method, template } = route;
  const json = route.body === "*" ? jsonBody(contentType, body) : {};
  if (route.body !== "*" && body.length > 0) throw malformed("this method takes no body");
  for (const name of new URLSearchParams(query).keys()) {
    throw malformed("this method has no query parameter of that name", name.slice(0, 50).toWellFormed());
  }
  for (const { path, start, end } of template.variables) {
    const field = method.input.fields.find((f) => f.name === path);
    for (const key of [path, field?.jsonName ?? path]) {
      if (Object.hasOwn(json, key))
        throw malformed(`${path} is bound by the path: leave it out of the body`, path);
    }
    json[path] = decodeSegments(segments.slice(start, end === -1 ? undefined : end), path);
  }
  return messageFromJson(method.input, json);
}

function jsonBody(contentType: string, body: Uint8Array): JsonObject {
  if (!/^application\/json *(;|$)/i.test(contentType)) {
    throw wireError(Code.InvalidArgument, "MEDIA_TYPE_UNSUPPORTED", "send the body as application/json");
  }
  const json: JsonValue = parseJson(body);
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw malformed("a JSON object is expected ({} for an empty message)");
  }
  return json;
}

/** One segment is decoded fully. Several keep an encoded slash, which is not one between them. */
function decodeSegments(segments: readonly string[], field: string): string {
  try {
    if (segments.length === 1) return decodeURIComponent(segments[0] ?? "");
    return segments.map((segment) => segment.split(/(%2f)/i).map(decodeUnlessSlash).join("")).join("/");
  } catch {
    throw malformed(`${field} is not valid percent-encoding of UTF-8 in the path`, field);
  }
}

function decodeUnlessSlash(text: string): string {
  return /^%2f$/i.test(text) ? text : decodeURIComponent(text);
}

const registry = createRegistry(ErrorInfoSchema, BadRequestSchema, RetryInfoSchema);

/** `google.rpc.Status` as JSON (AIP-193). */
export function restError(error: ConnectError, responseHeader: Headers = new Headers()): Reply {
  const header = new Headers(responseHeader);
  for (const [name, value] of error.metadata) header.append(name, value);
  header.set("content-type", "application/json");
  const seconds = retryAfter(error);
  if (seconds !== undefined) header.set("retry-after", String(seconds));
  const status = create(StatusSchema, {
    code: error.code,
    message: error.rawMessage,
    details: error.details.map((detail) =>
      "desc" in detail
        ? anyPack(detail.desc, create(detail.desc as DescMessage, detail.value))
        : { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value },
    ),
  });
  const reason = error.findDetails(ErrorInfoSchema)[0]?.reason ?? "";
  return {
    status: statusByReason[reason] ?? statusByCode[error.code],
    header,
    body: Buffer.from(JSON.stringify(toJson(StatusSchema, status, { registry }))),
  };
}

const statusByReason: Record<string, number> = {
  REQUEST_TOO_LARGE: 413,
  ROUTE_NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  MEDIA_TYPE_UNSUPPORTED: 415,
};

/** The HTTP status of each code, as google/rpc/code.proto has it. */
const statusByCode: Record<Code, number> = {
  [Code.Canceled]: 499,
  [Code.Unknown]: 500,
  [Code.InvalidArgument]: 400,
  [Code.DeadlineExceeded]: 504,
  [Code.NotFound]: 404,
  [Code.AlreadyExists]: 409,
  [Code.PermissionDenied]: 403,
  [Code.ResourceExhausted]: 429,
  [Code.FailedPrecondition]: 400,
  [Code.Aborted]: 409,
  [Code.OutOfRange]: 400,
  [Code.Unimplemented]: 501,
  [Code.Internal]: 500,
  [Code.Unavailable]: 503,
  [Code.DataLoss]: 500,
  [Code.Unauthenticated]: 401,
};
