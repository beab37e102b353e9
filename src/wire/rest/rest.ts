import {
  create,
  createRegistry,
  type DescField,
  type DescMethod,
  type DescMethodUnary,
  getOption,
  hasOption,
  type JsonObject,
  type JsonValue,
  type Message,
  toJson,
} from "@bufbuild/protobuf";
import { AnySchema, anyPack } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectError } from "@connectrpc/connect";
import { http } from "../../../gen/google/api/annotations_pb.ts";
import type { HttpRule } from "../../../gen/google/api/http_pb.ts";
import { ErrorInfoSchema, file_google_rpc_error_details } from "../../../gen/google/rpc/error_details_pb.ts";
import { decompress, isIdentity } from "../compression.ts";
import { encodeContent } from "../connect.ts";
import { messageFromJson, parseJson } from "../json.ts";
import { retryAfter } from "../retry-after.ts";
import { toFields } from "../send.ts";
import type { Codec } from "../unary.ts";
import { malformed, wireError } from "../wire-error.ts";
import { type FieldPath, findField, isGiven, setParameter, setQuery, spell } from "./params.ts";
import { captureOf, type PathTemplate, parsePathTemplate } from "./path-template.ts";
import { type Found, RouteTrie } from "./route-trie.ts";

/** A `google.api.http` rule of a method, read. */
export interface RestRoute {
  readonly method: DescMethodUnary;
  readonly template: PathTemplate;
  /** The field of each variable of the template. */
  readonly variables: readonly FieldPath[];
  /** The field that the body is for, "*" for every field, or undefined if there is no body. */
  readonly body: DescField | "*" | undefined;
  /** The paths of fields that come from the path or the body, and so from no query. */
  readonly taken: readonly string[];
  /** The field of the response that is sent, and what is sent while it is not set. Undefined for the whole response. */
  readonly responseBody: { readonly field: DescField; readonly unset: JsonValue } | undefined;
}

export type RestMatch = Extract<Found<RestRoute>, { kind: "match" }>;

/**
 * Reads the rules of the unary methods that have one.
 *
 * @throws Error at start on a rule that is not valid, or two of the same shape.
 */
export function createRestRouter(methods: readonly DescMethod[]): RouteTrie<RestRoute> {
  const trie = new RouteTrie<RestRoute>();
  for (const method of methods) {
    if (!isUnary(method) || !hasOption(method, http)) continue;
    const rule = getOption(method, http);
    for (const binding of [rule, ...rule.additionalBindings]) {
      if (binding !== rule && binding.additionalBindings.length > 0)
        throw new Error(`${method} has additional bindings in an additional binding`);
      addRule(trie, method, binding);
    }
  }
  return trie;
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}

function addRule(trie: RouteTrie<RestRoute>, method: DescMethodUnary, rule: HttpRule): void {
  const { pattern } = rule;
  if (pattern.case === undefined) throw new Error(`${method} has a rule without a path`);
  const custom = pattern.case === "custom" ? pattern.value : undefined;
  const httpMethod = custom ? custom.kind : pattern.case.toUpperCase();
  const path = custom ? custom.path : String(pattern.value);
  if (!/^(?:\*|[A-Za-z-]+)$/.test(httpMethod)) throw new Error(`${method}: ${path} has no HTTP method`);

  const template = parsePathTemplate(path);
  const variables = template.variables.map((variable) => variableField(method, path, variable.path));
  const body = bodyOf(method, path, rule.body);
  const bound = template.variables.map((variable) => variable.path);
  if (typeof body === "object" && bound.includes(body.name))
    throw new Error(`${method}: ${path} binds ${body.name}, which is the body`);
  const fromBody = body === "*" ? method.input.fields : body ? [body] : [];
  const taken = [...bound, ...fromBody.map((field) => field.name)];
  const responseBody = responseBodyOf(method, path, rule.responseBody);
  const route: RestRoute = { method, template, variables, body, taken, responseBody };
  trie.add(httpMethod, template, route, ({ method }) => String(method));
}

/** `google/api/http.proto`: a field of a primitive type that is not repeated, by its proto name. */
function variableField(method: DescMethodUnary, template: string, name: string): FieldPath {
  const path = findField(method.input, name);
  const kind = path?.at(-1)?.fieldKind;
  if (!path || spell(path) !== name || (kind !== "scalar" && kind !== "enum")) {
    throw new Error(
      `${method}: ${template} binds ${name}, which is no single value in ${method.input.typeName}`,
    );
  }
  return path;
}

function bodyOf(method: DescMethodUnary, template: string, name: string): RestRoute["body"] {
  if (name === "" || name === "*") return name === "*" ? "*" : undefined;
  const field = method.input.fields.find((candidate) => candidate.name === name);
  if (!field)
    throw new Error(
      `${method}: ${template} has the body ${name}, which is no field of ${method.input.typeName}`,
    );
  return field;
}

function responseBodyOf(method: DescMethodUnary, template: string, name: string): RestRoute["responseBody"] {
  if (name === "") return undefined;
  const { output } = method;
  const field = output.fields.find((candidate) => candidate.name === name);
  if (!field)
    throw new Error(
      `${method}: ${template} has the response body ${name}, which is no field of ${output.typeName}`,
    );
  const empty = toJson(output, create(output), { alwaysEmitImplicit: true }) as JsonObject;
  return { field, unset: empty[field.jsonName] ?? null };
}

/** JSON over HTTP by the rule: the fourth protocol. */
export function restCodec(match: RestMatch, query: string, messageBytesMax: number): Codec {
  return {
    protocol: "rest",
    timeoutMs: () => undefined,
    decode(header, body) {
      const bind = (bytes: Uint8Array) => bindRequest(match, query, header.get("content-type"), bytes);
      const encoding = header.get("content-encoding");
      return isIdentity(encoding) ? bind(body) : decompress(encoding, body, messageBytesMax).then(bind);
    },
    reply({ requestHeader, responseHeader }, message) {
      const header = toFields(responseHeader);
      const { contentType, body } = encodeResponse(match.route, message);
      header["content-type"] = contentType;
      return encodeContent(header, requestHeader, body);
    },
    error: restError,
  };
}

/**
 * Makes the message of a request. A field has one source: the path before the body before the query.
 *
 * @param query what follows the question mark, or "".
 * @param contentType null if the request has none.
 * @throws INVALID_ARGUMENT, with the reason MEDIA_TYPE_UNSUPPORTED for a body that is not JSON.
 */
export function bindRequest(
  { route, segments }: RestMatch,
  query: string,
  contentType: string | null,
  body: Uint8Array,
): Message {
  const json = bodyJson(route, contentType, body);
  for (const [i, variable] of route.template.variables.entries()) {
    const path = route.variables[i] ?? [];
    const text = captureOf(variable, segments);
    if (text === undefined) {
      throw malformed(
        `${variable.path} in the path is not the percent-encoding of text in UTF-8 without U+0000`,
        variable.path,
      );
    }
    // CVE-2026-48599: what is authorized must be what is called, so nothing stands in for the path.
    if (isGiven(json, path))
      throw malformed(`${variable.path} comes from the path: leave it out of the body`, variable.path);
    setParameter(json, path, text);
  }
  if (query !== "") setQuery(json, route.method.input, query, route.taken);
  return messageFromJson(route.method.input, json);
}

/** The proto JSON of the message as far as it comes from the body. */
function bodyJson({ body }: RestRoute, contentType: string | null, bytes: Uint8Array): JsonObject {
  if (body === undefined) {
    if (bytes.length > 0) throw malformed("this method takes no body: leave it out");
    return {};
  }
  // RFC 9110 §8.3: who sends content says of what type. Neither is a request that leaves the fields unset.
  if (bytes.length === 0 && contentType === null) return {};
  if (!isJson(contentType ?? ""))
    throw wireError(Code.InvalidArgument, "MEDIA_TYPE_UNSUPPORTED", "send the body as application/json");
  const json = parseJson(bytes);
  if (body !== "*") return { [body.jsonName]: json };
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw malformed("a JSON object is expected ({} for an empty message)");
  return json;
}

/** `application/json`, in UTF-8 (RFC 8259 §8.1). */
function isJson(contentType: string): boolean {
  if (contentType === "application/json") return true;
  const [type, ...parameters] = contentType
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  return (
    type === "application/json" && parameters.every((parameter) => /^(charset=("?)utf-8\2)?$/.test(parameter))
  );
}

/** The body of a reply, as the rule has it: the message, or one field of it. */
export function encodeResponse(
  { method, responseBody }: RestRoute,
  message: Message,
): { contentType: string; body: string } {
  const whole = toJson(method.output, message);
  const json = responseBody
    ? ((whole as JsonObject)[responseBody.field.jsonName] ?? responseBody.unset)
    : whole;
  return { contentType: "application/json", body: JSON.stringify(json) };
}

/** `google.rpc.Status` as JSON (AIP-193), with the HTTP status of its code. */
export function restError(
  error: ConnectError,
  responseHeader: Headers = new Headers(),
): { status: number; header: Headers; body: string } {
  const header = new Headers(responseHeader);
  for (const [name, value] of error.metadata) header.append(name, value);
  // An error that another server sent may bring the headers of that message along.
  for (const name of framing) header.delete(name);
  header.set("content-type", "application/json");
  const seconds = retryAfter(error);
  if (seconds !== undefined) header.set("retry-after", String(seconds));
  const reason = error.findDetails(ErrorInfoSchema)[0]?.reason ?? "";
  const details = error.details.map(detailToJson);
  const status = { code: error.code, message: error.rawMessage, ...(details.length > 0 && { details }) };
  return {
    status: statusByReason.get(reason) ?? statusByCode[error.code],
    header,
    body: JSON.stringify(status),
  };
}

/** What belongs to one message on one connection (RFC 9110 §7.6.1, §8). */
const framing = [
  "connection",
  "content-encoding",
  "content-length",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

const standardDetails = createRegistry(file_google_rpc_error_details);

/** A `google.protobuf.Any` as JSON. Of a type that is not known here it is the bytes, in base64. */
function detailToJson(detail: ConnectError["details"][number]): JsonValue {
  const own = "desc" in detail;
  const typeName = own ? detail.desc.typeName : detail.type;
  const any = own
    ? anyPack(detail.desc, create(detail.desc, detail.value))
    : create(AnySchema, { typeUrl: `type.googleapis.com/${typeName}`, value: detail.value });
  if (standardDetails.getMessage(typeName)) return toJson(AnySchema, any, { registry: standardDetails });
  if (own) return toJson(AnySchema, any, { registry: createRegistry(detail.desc) });
  return { "@type": any.typeUrl, value: Buffer.from(any.value).toString("base64") };
}

const statusByReason: ReadonlyMap<string, number> = new Map([
  ["REQUEST_TOO_LARGE", 413],
  ["ROUTE_NOT_FOUND", 404],
  ["METHOD_NOT_ALLOWED", 405],
  ["NOT_ACCEPTABLE", 406],
  ["MEDIA_TYPE_UNSUPPORTED", 415],
]);

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
