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
import { acceptedEncodings, decompress, isIdentity, isKnownCoding } from "../call/compression.ts";
import { retryAfter } from "../call/retry-after.ts";
import { toFields } from "../call/send.ts";
import type { Codec } from "../call/unary.ts";
import { malformed, wireError } from "../call/wire-error.ts";
import { messageFromJson, parseJson } from "../json/json.ts";
import { encodeContent } from "../protocols/connect.ts";
import { httpBodyJson, httpBodyOf } from "./http-body.ts";
import { type FieldPath, isGiven, setParameter, setQuery } from "./params.ts";
import { captureOf, type PathTemplate } from "./path-template.ts";
import type { Found } from "./route-trie.ts";

/** A method that takes one message: what a request of HTTP is. */
export type RestMethod = DescMethodUnary | DescMethodServerStreaming;

/** A `google.api.http` rule of a method, read. */
export interface RestRoute {
  readonly method: RestMethod;
  /** The template as it is written. */
  readonly path: string;
  readonly template: PathTemplate;
  /** The field of each variable of the template. */
  readonly variables: readonly FieldPath[];
  /** The field that the body is for, "*" for every field, or undefined if there is no body. */
  readonly body: DescField | "*" | undefined;
  /** The paths of fields that come from the path or the body, and so from no query. */
  readonly taken: readonly string[];
  /** The field of the response that is sent, and what is sent while it is not set. Undefined for the whole response. */
  readonly responseBody: { readonly field: DescField; readonly unset: JsonValue } | undefined;
  /** Whether the body of a request is a google.api.HttpBody: bytes of any type, and not JSON. */
  readonly isRawRequest: boolean;
  /** Whether the body of a reply is one, or, if the method streams, all of its parts. */
  readonly isRawReply: boolean;
}

export type RestMatch = Extract<Found<RestRoute>, { kind: "match" }>;

/** JSON over HTTP by the rule: the fourth protocol. */
export function restCodec(match: RestMatch, query: string, messageBytesMax: number): Codec {
  return {
    protocol: "rest",
    timeoutMs: () => undefined,
    decode(header, body) {
      const bind = (bytes: Uint8Array) => bindRequest(match, query, header.get("content-type"), bytes);
      // RFC 9110 §8.4.1: codings are told apart without regard to case.
      const coding = header.get("content-encoding")?.toLowerCase() ?? null;
      if (isIdentity(coding)) return bind(body);
      if (!isKnownCoding(coding)) throw codingUnsupported();
      return decompress(coding, body, messageBytesMax).then(bind);
    },
    reply({ requestHeader, responseHeader }, message) {
      const header = toFields(responseHeader);
      const { contentType, body } = encodeResponse(match.route, message);
      header["content-type"] = contentType;
      // A method that replies with bytes as they are may have compressed them.
      if (header["content-encoding"] !== undefined) return { status: 200, header, body };
      return encodeContent(header, requestHeader, body);
    },
    error: restError,
  };
}

/** RFC 9110 §15.5.16: 415, and what can be used instead. */
function codingUnsupported(): ConnectError {
  const message = `this content encoding is not supported: use one of ${acceptedEncodings}, or none`;
  const error = wireError(Code.InvalidArgument, "MEDIA_TYPE_UNSUPPORTED", message);
  error.metadata.set("accept-encoding", acceptedEncodings);
  return error;
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
  const json = route.isRawRequest ? rawJson(route, contentType, body) : bodyJson(route, contentType, body);
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

/** A google.api.HttpBody of any type. Neither bytes nor a type is a request that leaves it unset. */
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

/** The content type of a reply, as far as it is known before the method has run: of bytes it is the method's to say. */
export function replyType({ method, isRawReply }: RestRoute): string {
  if (isRawReply) return "application/octet-stream";
  return method.methodKind === "unary" ? "application/json" : "application/x-ndjson";
}

/** The body of a reply, as the rule has it: the message, or one field of it. Of a method that streams, one line. */
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
