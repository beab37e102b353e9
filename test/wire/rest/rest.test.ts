import { gunzipSync } from "node:zlib";
import { create, type DescMethod, fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { EmptySchema, StringValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createContextValues, createHandlerContext } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  RetryInfoSchema,
} from "../../../gen/google/rpc/error_details_pb.ts";
import {
  bindRequest,
  encodeResponse,
  type RestMatch,
  restCodec,
  restError,
} from "../../../src/wire/rest/rest.ts";
import { createRestRouter } from "../../../src/wire/rest/rules.ts";
import { jsonOf, methodsWithRules } from "../../support/wire/rest.ts";

function match(served: readonly DescMethod[], method: string, path: string): RestMatch {
  const found = createRestRouter(served).find(method, path);
  if (found.kind !== "match") throw new Error(`${method} ${path} is ${found.kind}`);
  return found;
}

interface Request {
  readonly query?: string;
  readonly contentType?: string | null;
  readonly body?: string;
}

/** Binds a request by a rule. Returns the message as proto JSON. */
function bound(
  rule: JsonObject,
  request: string,
  { query = "", contentType, body = "" }: Request = {},
): JsonValue {
  const served = methodsWithRules({ Bound: rule });
  const [method = "", path = ""] = request.split(" ");
  const found = match(served, method, path);
  const type = contentType === undefined ? (body === "" ? null : "application/json") : contentType;
  return jsonOf(found.route.method.input, bindRequest(found, query, type, Buffer.from(body)));
}

/** Returns reason, message and fields of the error that a call throws. */
function refusal(call: () => unknown): {
  reason: string | undefined;
  message: string;
  fields: readonly string[];
} {
  try {
    call();
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    expect(error.code).toBe(Code.InvalidArgument);
    return {
      reason: error.findDetails(ErrorInfoSchema)[0]?.reason,
      message: error.rawMessage,
      fields: error.findDetails(BadRequestSchema).flatMap((b) => b.fieldViolations.map((v) => v.field)),
    };
  }
  throw new Error("the request was accepted");
}

describe("a message is bound", () => {
  it.each<[string, JsonObject, string, Request, JsonValue]>([
    ["from an empty request", { get: "/a" }, "GET /a", {}, {}],
    [
      "from a path and a query",
      { get: "/{string_value}" },
      "GET /x",
      { query: "int32_value=1" },
      { stringValue: "x", int32Value: 1 },
    ],
    [
      "from two fields of a nested message in the path",
      { get: "/{nested.int32_value}/{nested.bool_value}" },
      "GET /1/true",
      {},
      { nested: { int32Value: 1, boolValue: true } },
    ],
    ["from an empty capture", { get: "/a/{optional_value=**}" }, "GET /a", {}, { optionalValue: "" }],
    [
      "from a verb and a capture before it",
      { get: "/{string_value}:go" },
      "GET /a:b:go",
      {},
      { stringValue: "a:b" },
    ],
    [
      "from a list in the body",
      { post: "/a", body: "string_list" },
      "POST /a",
      { body: '["x","y"]' },
      { stringList: ["x", "y"] },
    ],
    [
      "from a map in the body",
      { post: "/a", body: "string_map" },
      "POST /a",
      { body: '{"x":"y"}' },
      { stringMap: { x: "y" } },
    ],
    [
      "from a number in the body",
      { post: "/a", body: "int64_value" },
      "POST /a",
      { body: '"5"' },
      { int64Value: "5" },
    ],
    ["from null in the body", { post: "/a", body: "nested" }, "POST /a", { body: "null" }, {}],
    [
      "from null in place of the message of a variable",
      { post: "/{nested.string_value}", body: "*" },
      "POST /x",
      { body: '{"nested":null}' },
      { nested: { stringValue: "x" } },
    ],
    [
      "from path, body and query",
      { post: "/{string_value}", body: "nested" },
      "POST /x",
      { body: '{"boolValue":true}', query: "bool_value=true" },
      { stringValue: "x", boolValue: true, nested: { boolValue: true } },
    ],
    ["from an absent body", { post: "/{string_value}", body: "*" }, "POST /x", {}, { stringValue: "x" }],
    ["from an absent body for a field", { post: "/a", body: "nested" }, "POST /a", {}, {}],
    ["without a body, whatever its type", { get: "/a" }, "GET /a", { contentType: "text/plain" }, {}],
    ["for a custom method", { custom: { kind: "PURGE", path: "/a" } }, "PURGE /a", {}, {}],
    ["for all methods", { custom: { kind: "*", path: "/a" } }, "PURGE /a", {}, {}],
  ])("%s", (_what, rule, request, rest, message) => {
    expect(bound(rule, request, rest)).toEqual(message);
  });

  it.each([
    "application/json",
    "Application/JSON",
    "application/json;charset=utf-8",
    'application/json ; charset="UTF-8"',
    "application/json;",
  ])("from the content type %s", (contentType) => {
    const rule = { post: "/a", body: "*" };
    expect(bound(rule, "POST /a", { contentType, body: '{"boolValue":true}' })).toEqual({ boolValue: true });
  });
});

describe("a request is rejected", () => {
  const all = { post: "/{string_value}", body: "*" };
  const field = { post: "/{nested.string_value}", body: "nested" };
  const none = { get: "/{string_value}" };

  it.each<[string, JsonObject, string, Request, string, string[]]>([
    [
      "T35 the field of the path in the body",
      all,
      "POST /x",
      { body: '{"stringValue":"x"}' },
      "string_value comes from the path: leave it out of the body",
      ["string_value"],
    ],
    [
      "T35 the field by its other name",
      all,
      "POST /x",
      { body: '{"string_value":"y"}' },
      "string_value comes from the path: leave it out of the body",
      ["string_value"],
    ],
    [
      "T35 the field as null",
      all,
      "POST /x",
      { body: '{"string_value":null}' },
      "string_value comes from the path: leave it out of the body",
      ["string_value"],
    ],
    [
      "T35 the nested field of the path",
      field,
      "POST /x",
      { body: '{"stringValue":"y"}' },
      "nested.string_value comes from the path: leave it out of the body",
      ["nested.string_value"],
    ],
    [
      "T35 the field of the path in the query",
      none,
      "GET /x",
      { query: "stringValue=y" },
      "string_value comes from the path or the body: leave it out of the query",
      ["string_value"],
    ],
    [
      "a query in addition to a body for all fields",
      all,
      "POST /x",
      { body: "{}", query: "bool_value=true" },
      "bool_value comes from the path or the body: leave it out of the query",
      ["bool_value"],
    ],
    [
      "a query for a field of the body",
      field,
      "POST /x",
      { body: "{}", query: "nested.bool_value=true" },
      "nested.bool_value comes from the path or the body: leave it out of the query",
      ["nested.bool_value"],
    ],
    [
      "an unknown parameter in addition to a body for all fields",
      all,
      "POST /x",
      { body: "{}", query: "none=1" },
      "this method has no query parameter of that name: check the API reference",
      ["none"],
    ],
    ["an unexpected body", none, "GET /x", { body: "{}" }, "this method takes no body: leave it out", []],
    [
      "an empty body with a content type",
      all,
      "POST /x",
      { contentType: "application/json" },
      "the body is empty: send a JSON object ({} for an empty message)",
      [],
    ],
    [
      "a list for all fields",
      all,
      "POST /x",
      { body: "[]" },
      "a JSON object is expected ({} for an empty message)",
      [],
    ],
    [
      "a string in place of the message of a variable",
      field,
      "POST /x",
      { body: '"y"' },
      "an object is expected around nested.string_value",
      ["nested.string_value"],
    ],
    [
      "an invalid field in the body, by its full path",
      field,
      "POST /x",
      { body: '{"nested":{"boolValue":1}}' },
      "nested.nested.bool_value is not valid: true or false is expected",
      ["nested.nested.bool_value"],
    ],
    [
      "a parameter out of range",
      none,
      "GET /x",
      { query: "int32_value=2147483648" },
      "int32_value is not valid: a number in range is expected",
      ["int32_value"],
    ],
    [
      "two members of a oneof",
      { post: "/{oneof_bool_value}", body: "*" },
      "POST /true",
      { body: '{"oneofStringValue":"x"}' },
      "only one of oneof_string_value, oneof_bool_value can be set: keep one",
      ["oneof_string_value", "oneof_bool_value"],
    ],
    [
      "a path with an invalid escape",
      none,
      "GET /%zz",
      {},
      "string_value in the path is not percent-encoded UTF-8 without U+0000",
      ["string_value"],
    ],
    [
      "U+0000 in the path",
      none,
      "GET /%00",
      {},
      "string_value in the path is not percent-encoded UTF-8 without U+0000",
      ["string_value"],
    ],
    [
      "a path that is not a number",
      { get: "/{int64_value}" },
      "GET /x",
      {},
      "int64_value is not valid: a whole number is expected",
      ["int64_value"],
    ],
  ])("for %s", (_what, rule, request, rest, message, fields) => {
    expect(refusal(() => bound(rule, request, rest))).toEqual({
      reason: "REQUEST_MALFORMED",
      message,
      fields,
    });
  });

  it.each([
    null,
    "",
    "text/plain",
    "application/jsonx",
    "application/json; charset=utf-16",
    "application/json; charset=utf-8; version=1",
    "application/json, application/proto",
    "application/x-www-form-urlencoded",
    "application/grpc",
    "application/proto",
  ])("for the content type %s", (contentType) => {
    const { reason } = refusal(() => bound(all, "POST /x", { contentType, body: "{}" }));
    expect(reason).toBe("MEDIA_TYPE_UNSUPPORTED");
  });

  it("but a body can't modify a prototype", () => {
    const body = '{"__proto__":{"stringValue":"y"},"constructor":{"prototype":{"polluted":true}}}';
    expect(bound(all, "POST /x", { body })).toEqual({ stringValue: "x" });
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
});

describe("a response", () => {
  it.each<[string, string, JsonObject, JsonValue]>([
    ["string_value", "a string", { stringValue: "x" }, "x"],
    ["string_value", "an unset string", {}, ""],
    ["int64_value", "an unset int64", {}, "0"],
    ["enum_value", "an unset enum", {}, "ENUM_UNSPECIFIED"],
    ["string_list", "a list", { stringList: ["x"] }, ["x"]],
    ["string_list", "an empty list", {}, []],
    ["string_map", "an empty map", {}, {}],
    ["optional_value", "an unset optional field", {}, null],
    ["nested", "an unset message", {}, null],
    ["nested", "an empty message", { nested: {} }, {}],
    ["string_wrapper", "a wrapper", { stringWrapper: "" }, ""],
    ["renamed", "a field with a custom JSON name", { renamed: "x" }, "x"],
    ["", "the whole message", { renamed: "x" }, { "custom-kebab": "x" }],
  ])("with the response body %j is %s", (responseBody, _what, message, json) => {
    const { route } = match(methodsWithRules({ One: { get: "/a", responseBody } }), "GET", "/a");
    const { contentType, body } = encodeResponse(route, fromJson(route.method.output, message));
    expect(contentType).toBe("application/json");
    expect(JSON.parse(Buffer.from(body).toString())).toEqual(json);
  });

  it.each([
    ["that accept gzip", "gzip", 2000, "gzip"],
    ["unless they accept no encoding", "", 2000, null],
    ["unless it is short", "gzip", 10, null],
  ])("is compressed for clients %s", async (_what, accepted, length, encoding) => {
    const found = match(methodsWithRules({ One: { get: "/a" } }), "GET", "/a");
    const { method } = found.route;
    const context = createHandlerContext({
      service: method.parent,
      method,
      protocolName: "rest",
      requestMethod: "GET",
      url: "http://service/a",
      requestHeader: new Headers({ "accept-encoding": accepted }),
      responseHeader: new Headers({ "x-id": "1" }),
      contextValues: createContextValues(),
    });
    const message = fromJson(method.output, { stringValue: "x".repeat(length) });
    const reply = await restCodec(found, "", 65_536).reply(context, message);
    expect(reply.status).toBe(200);
    expect(reply.header).toEqual({
      "content-type": "application/json",
      "x-id": "1",
      ...(encoding && { "content-encoding": encoding }),
    });
    const body = encoding ? gunzipSync(reply.body) : Buffer.from(reply.body);
    expect(JSON.parse(body.toString())).toEqual({ stringValue: "x".repeat(length) });
  });
});

describe("an error", () => {
  function withReason(code: Code, reason: string): ConnectError {
    const error = new ConnectError("m", code);
    error.details.push({ desc: ErrorInfoSchema, value: { reason, domain: "countersign" } });
    return error;
  }

  it.each([
    ["REQUEST_TOO_LARGE", Code.ResourceExhausted, 413],
    ["ATTEMPTS_EXHAUSTED", Code.ResourceExhausted, 429],
    ["ROUTE_NOT_FOUND", Code.Unimplemented, 404],
    ["METHOD_NOT_ALLOWED", Code.Unimplemented, 405],
    ["NOT_ACCEPTABLE", Code.InvalidArgument, 406],
    ["MEDIA_TYPE_UNSUPPORTED", Code.InvalidArgument, 415],
    ["constructor", Code.Aborted, 409],
  ])("with the reason %s and the code %i has the status %i", (reason, code, status) => {
    expect(restError(withReason(code, reason)).status).toBe(status);
  });

  it("is a google.rpc.Status with details of any type", () => {
    const error = withReason(Code.NotFound, "USER_NOT_FOUND");
    error.details.push(
      { desc: PreconditionFailureSchema, value: { violations: [{ type: "T" }] } },
      { desc: EmptySchema, value: {} },
      { desc: StringValueSchema, value: { value: "s" } },
      { type: "google.rpc.RetryInfo", value: Uint8Array.of(10, 2, 8, 3) },
      { type: "other.v1.Detail", value: Uint8Array.of(1, 2, 3) },
    );
    const { header, body } = restError(error);
    expect(JSON.parse(Buffer.from(body).toString())).toEqual({
      code: 5,
      message: "m",
      details: [
        {
          "@type": "type.googleapis.com/google.rpc.ErrorInfo",
          reason: "USER_NOT_FOUND",
          domain: "countersign",
        },
        { "@type": "type.googleapis.com/google.rpc.PreconditionFailure", violations: [{ type: "T" }] },
        { "@type": "type.googleapis.com/google.protobuf.Empty" },
        { "@type": "type.googleapis.com/google.protobuf.StringValue", value: "s" },
        { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "3s" },
        { "@type": "type.googleapis.com/other.v1.Detail", value: "AQID" },
      ],
    });
    expect(header.get("content-type")).toBe("application/json");
    expect(header.get("retry-after")).toBe("3");
  });

  it("says when to retry, in seconds rounded up", () => {
    const error = new ConnectError("m", Code.ResourceExhausted);
    const value = create(RetryInfoSchema, { retryDelay: { seconds: 2n, nanos: 1 } });
    error.details.push({ desc: RetryInfoSchema, value });
    expect(restError(error).header.get("retry-after")).toBe("3");
  });

  it("keeps its headers and those of the reply, except those of another message", () => {
    const error = new ConnectError("m", Code.Unauthenticated, {
      "www-authenticate": 'Bearer realm="countersign"',
      "content-type": "application/grpc",
      "content-length": "5",
      "content-encoding": "gzip",
      "transfer-encoding": "chunked",
    });
    const { status, header } = restError(error, new Headers({ allow: "GET", "content-length": "7" }));
    expect(status).toBe(401);
    expect(Object.fromEntries(header)).toEqual({
      allow: "GET",
      "content-type": "application/json",
      "www-authenticate": 'Bearer realm="countersign"',
    });
  });
});
