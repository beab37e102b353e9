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

/** The message of a request to a method with this rule, as proto JSON. */
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

/** The error that a call ends in. */
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
  throw new Error("the request is accepted");
}

describe("a message is bound", () => {
  it.each<[string, JsonObject, string, Request, JsonValue]>([
    ["from nothing", { get: "/a" }, "GET /a", {}, {}],
    [
      "from a path and a query",
      { get: "/{string_value}" },
      "GET /x",
      { query: "int32_value=1" },
      { stringValue: "x", int32Value: 1 },
    ],
    [
      "from two fields of a message in the path",
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
      "from a body that is a list",
      { post: "/a", body: "string_list" },
      "POST /a",
      { body: '["x","y"]' },
      { stringList: ["x", "y"] },
    ],
    [
      "from a body that is a map",
      { post: "/a", body: "string_map" },
      "POST /a",
      { body: '{"x":"y"}' },
      { stringMap: { x: "y" } },
    ],
    [
      "from a body that is a number",
      { post: "/a", body: "int64_value" },
      "POST /a",
      { body: '"5"' },
      { int64Value: "5" },
    ],
    ["from a body that is null", { post: "/a", body: "nested" }, "POST /a", { body: "null" }, {}],
    [
      "from a null around a variable",
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
    [
      "from no body where there may be one",
      { post: "/{string_value}", body: "*" },
      "POST /x",
      {},
      { stringValue: "x" },
    ],
    ["from no body for a field", { post: "/a", body: "nested" }, "POST /a", {}, {}],
    ["without a body, whatever its type", { get: "/a" }, "GET /a", { contentType: "text/plain" }, {}],
    ["for a method of any name", { custom: { kind: "PURGE", path: "/a" } }, "PURGE /a", {}, {}],
    ["for any method", { custom: { kind: "*", path: "/a" } }, "PURGE /a", {}, {}],
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

describe("a request is refused", () => {
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
      "a query beside a body for all",
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
      "an unknown parameter beside a body for all",
      all,
      "POST /x",
      { body: "{}", query: "none=1" },
      "this method has no query parameter of that name: check it against the contract",
      ["none"],
    ],
    [
      "a body where there is none",
      none,
      "GET /x",
      { body: "{}" },
      "this method takes no body: leave it out",
      [],
    ],
    [
      "an announced body that is empty",
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
      "a string around a variable",
      field,
      "POST /x",
      { body: '"y"' },
      "an object is expected around nested.string_value",
      ["nested.string_value"],
    ],
    [
      "a fault in the body, by its whole path",
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
      "two of one oneof",
      { post: "/{oneof_bool_value}", body: "*" },
      "POST /true",
      { body: '{"oneofStringValue":"x"}' },
      "oneof_string_value, oneof_bool_value are set, of which there can be only one: keep exactly one of them",
      ["oneof_string_value", "oneof_bool_value"],
    ],
    [
      "a path that cannot be decoded",
      none,
      "GET /%zz",
      {},
      "string_value in the path is not the percent-encoding of text in UTF-8 without U+0000",
      ["string_value"],
    ],
    [
      "U+0000 in the path",
      none,
      "GET /%00",
      {},
      "string_value in the path is not the percent-encoding of text in UTF-8 without U+0000",
      ["string_value"],
    ],
    [
      "a path that is no number",
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

  it("but no prototype is touched by a body", () => {
    const body = '{"__proto__":{"stringValue":"y"},"constructor":{"prototype":{"polluted":true}}}';
    expect(bound(all, "POST /x", { body })).toEqual({ stringValue: "x" });
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
});

describe("a response", () => {
  it.each<[string, string, JsonObject, JsonValue]>([
    ["string_value", "a string", { stringValue: "x" }, "x"],
    ["string_value", "a string that is not set", {}, ""],
    ["int64_value", "an int64 that is not set", {}, "0"],
    ["enum_value", "an enum that is not set", {}, "ENUM_UNSPECIFIED"],
    ["string_list", "a list", { stringList: ["x"] }, ["x"]],
    ["string_list", "an empty list", {}, []],
    ["string_map", "an empty map", {}, {}],
    ["optional_value", "an optional field that is not set", {}, null],
    ["nested", "a message that is not set", {}, null],
    ["nested", "an empty message", { nested: {} }, {}],
    ["string_wrapper", "a wrapper", { stringWrapper: "" }, ""],
    ["renamed", "a field with a JSON name of its own", { renamed: "x" }, "x"],
    ["", "the whole message", { renamed: "x" }, { "custom-kebab": "x" }],
  ])("of the response body %j is %s", (responseBody, _what, message, json) => {
    const { route } = match(methodsWithRules({ One: { get: "/a", responseBody } }), "GET", "/a");
    const { contentType, body } = encodeResponse(route, fromJson(route.method.output, message));
    expect(contentType).toBe("application/json");
    expect(JSON.parse(Buffer.from(body).toString())).toEqual(json);
  });

  it.each([
    ["that accept gzip, if it is long", "gzip", 2000, "gzip"],
    ["that accept nothing", "", 2000, null],
    ["that accept gzip, if it is short", "gzip", 10, null],
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

  it("is a google.rpc.Status with the details of any type", () => {
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

  it("tells when to come back, in whole seconds rounded up", () => {
    const error = new ConnectError("m", Code.ResourceExhausted);
    const value = create(RetryInfoSchema, { retryDelay: { seconds: 2n, nanos: 1 } });
    error.details.push({ desc: RetryInfoSchema, value });
    expect(restError(error).header.get("retry-after")).toBe("3");
  });

  it("keeps its headers and those of the reply, but not those of another message", () => {
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
