import {
  create,
  createRegistry,
  type DescField,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type JsonObject,
  type JsonValue,
  type Message,
  toJson,
} from "@bufbuild/protobuf";
import { AnySchema, anyPack } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, file_google_rpc_error_details } from "../../../gen/google/rpc/error_details_pb.ts";
import type { Codec } from "../call/codec.ts";
import { acceptedEncodings, decompress, isIdentity, isKnownCoding } from "../call/compression.ts";
import { retryAfter } from "../call/retry-after.ts";
import { dropFraming, toFields } from "../call/send.ts";
import { malformed, wireError } from "../call/wire-error.ts";
import { messageFromJson, parseJson } from "../json/json.ts";
import { encodeContent } from "../protocols/connect.ts";
import { httpBodyJson, httpBodyOf } from "./http-body.ts";
import { type FieldPath, isGiven, setParameter, setQuery } from "./params.ts";
import { captureOf, type PathTemplate } from "./path-template.ts";
import type { Found } from "./route-trie.ts";

/** A method that takes a single message, so that it can be called by an HTTP request. */
export type RestMethod = DescMethodUnary | DescMethodServerStreaming;

/** A parsed `google.api.http` rule of a method. */
export interface RestRoute {
  readonly method: RestMethod;
  /** The template as written in the rule. */
  readonly path: string;
  readonly template: PathTemplate;
  /** The field of each variable of the template. */
  readonly variables: readonly FieldPath[];
  /** The field that the body sets, "*" for all fields, or undefined if there is no body. */
  readonly body: DescField | "*" | undefined;
  /** The fields that come from the path or the body, and so can't come from the query. */
  readonly taken: readonly string[];
  /** The field of the response that is sent, and its JSON when unset. Undefined if the whole response is sent. */
  readonly responseBody: { readonly field: DescField; readonly unset: JsonValue } | undefined;
  /** Whether the request body is a google.api.HttpBody, raw bytes of any type. */
  readonly isRawRequest: boolean;
  /** Whether the reply, or each message of a stream, is a google.api.HttpBody. */
  readonly isRawReply: boolean;
}

export type RestMatch = Extract<Found<RestRoute>, { kind: "match" }>;

/** JSON over HTTP, by the rule of the method. */
export function restCodec(match: RestMatch, query: string, messageBytesMax: number): Codec {
  return {
    protocol: "rest",
    timeoutMs: () => undefined,
    decode(header, body) {
      const bind = (bytes: Uint8Array) => bindRequest(match, query, header.get("content-type"), bytes);
      // RFC 9110 §8.4.1: content codings are case-insensitive.
      const coding = header.get("content-encoding")?.toLowerCase() ?? null;
      if (isIdentity(coding)) return bind(body);
      if (!isKnownCoding(coding)) throw codingUnsupported();
      return decompress(coding, body, messageBytesMax).then(bind);
    },
    reply({ requestHeader, responseHeader }, message) {
      const header = toFields(responseHeader);
      const { contentType, body } = encodeResponse(match.route, message);
      header["content-type"] = contentType;
      // A method that replies with an HttpBody may have compressed it already.
      if (header["content-encoding"] !== undefined) return { status: 200, header, body };
      return encodeContent(header, requestHeader, body);
    },
    error: restError,
  };
}

/** RFC 9110 §15.5.16: 415 lists the supported codings. */
function codingUnsupported(): ConnectError {
  const message = `this content encoding is not supported: use one of ${acceptedEncodings}, or none`;
  const error = wireError(Code.InvalidArgument, "MEDIA_TYPE_UNSUPPORTED", message);
  error.metadata.set("accept-encoding", acceptedEncodings);
  return error;
}

/**
 * Creates the message of a request. Each field may come from only one of path, body and query.
 *
 * @param query without the question mark.
 * @throws INVALID_ARGUMENT, with the reason MEDIA_TYPE_UNSUPPORTED if the body is not JSON.
 */
export function bindRequest(
  { route, segments }: RestMatch,
  query: string,
  contentType: string | null,
  body: Uint8Array,
): Message {
  const json = route.isRawRequest ? rawJson(route, contentType, body) : bodyJson(route, contentType, body);
  for (const [i, variable] of route.template.variables.entries()) {
    const path = route.variables[i] ?? [];
    const text = captureOf(variable, segments);
    if (text === undefined) {
      throw malformed(
        `${variable.path} in the path is not percent-encoded UTF-8 without U+0000`,
        variable.path,
      );
    }
    // CVE-2026-48599: the call that is authorized must be the call that is made, so nothing overrides the path.
    if (isGiven(json, path))
      throw malformed(`${variable.path} comes from the path: leave it out of the body`, variable.path);
    setParameter(json, path, text);
  }
  if (query !== "") setQuery(json, route.method.input, query, route.taken);
  return messageFromJson(route.method.input, json);
}

/** The part of the proto JSON that comes from the body. */
function bodyJson({ body }: RestRoute, contentType: string | null, bytes: Uint8Array): JsonObject {
  if (body === undefined) {
    if (bytes.length > 0) throw malformed("this method takes no body: leave it out");
    return {};
  }
  // RFC 9110 §8.3: content has a type. A request with neither leaves the fields unset.
  if (bytes.length === 0 && contentType === null) return {};
  if (!isJson(contentType ?? ""))
    throw wireError(Code.InvalidArgument, "MEDIA_TYPE_UNSUPPORTED", "send the body as application/json");
  const json = parseJson(bytes);
  if (body !== "*") return { [body.jsonName]: json };
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw malformed("a JSON object is expected ({} for an empty message)");
  return json;
}

/** The proto JSON of a google.api.HttpBody. A request with neither content nor type leaves it unset. */
function rawJson({ body }: RestRoute, contentType: string | null, bytes: Uint8Array): JsonObject {
  if (bytes.length === 0 && contentType === null) return {};
  const raw = httpBodyJson(contentType, bytes);
  return typeof body === "object" ? { [body.jsonName]: raw } : raw;
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

/** The content type of a reply. For HttpBody it is the default, which the method may override. */
export function replyType({ method, isRawReply }: RestRoute): string {
  if (isRawReply) return "application/octet-stream";
  return method.methodKind === "unary" ? "application/json" : "application/x-ndjson";
}

/** Encodes a message of a reply, or the field named by the rule; as a line of JSON if the method streams. */
export function encodeResponse(
  route: RestRoute,
  message: Message,
): { contentType: string; body: Uint8Array | string } {
  const { method, responseBody, isRawReply } = route;
  if (isRawReply) {
    const { contentType, data } = httpBodyOf(message, responseBody?.field);
    return { contentType: contentType || replyType(route), body: data };
  }
  const whole = toJson(method.output, message);
  const json = responseBody
    ? ((whole as JsonObject)[responseBody.field.jsonName] ?? responseBody.unset)
    : whole;
  const end = method.methodKind === "unary" ? "" : "\n";
  return { contentType: replyType(route), body: JSON.stringify(json) + end };
}

/** `google.rpc.Status` as JSON (AIP-193), with the HTTP status of its code. */
export function restError(
  error: ConnectError,
  responseHeader: Headers = new Headers(),
): { status: number; header: Headers; body: string } {
  const header = new Headers(responseHeader);
  for (const [name, value] of error.metadata) header.append(name, value);
  // An error received from another server may carry headers of that server's reply.
  dropFraming(header);
  header.delete("content-encoding");
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

const standardDetails = createRegistry(file_google_rpc_error_details);

/** Converts a detail to the JSON of `google.protobuf.Any`. Details of unknown types are sent as base64 bytes. */
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

/** The HTTP status of each code, from google/rpc/code.proto. */
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
