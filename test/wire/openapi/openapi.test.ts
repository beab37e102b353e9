import { create, fromJson, type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { createOpenApi } from "../../../src/wire/openapi/openapi.ts";
import { createChecker, expectValid, type OpenApi, operationsOf } from "../../support/openapi.ts";
import { methodNamed } from "../../support/wire/rest.ts";

const info = { reason: "INTERNAL", domain: "test" };

const document = createOpenApi({
  services: [methodNamed("Echo").parent],
  comments: {
    "transcoding.vectors.v1.VectorService": "Books on shelves.",
    "transcoding.vectors.v1.VectorService.GetBook": "Get a book\n\nReturns it.\n\nWhole.",
    "transcoding.vectors.v1.Scalars.string_value": 'A text, 2 to 5 characters.\n\nExample: "abc"',
    "transcoding.vectors.v1.Scalars.choice": "What is chosen.",
    "transcoding.vectors.v1.Scalars.Enum.ENUM_VALUE": "A value.",
    "transcoding.vectors.v1.PageRequest.page": 'The page.\n\nExample: "a/b"',
    "transcoding.vectors.v1.CreateBookRequest.request_id": 'Its id.\n\nExample: "it\'s"',
  },
  info: { title: "Vectors", version: "v1" },
  serverUrl: "https://books.example",
  security: [{ name: "token", scheme: { type: "http", scheme: "bearer" }, scopes: [] }],
  errors: {
    default: {
      description: "An error.",
      examples: [new ConnectError("no", Code.Internal, undefined, [{ desc: ErrorInfoSchema, value: info }])],
    },
  },
  errorDetails: [ErrorInfoSchema],
  rpcTypes: ["application/grpc"],
}) as unknown as OpenApi;

const check = createChecker(document);

function operation(id: string) {
  const found = operationsOf(document).find(
    ({ operation }) => operation.operationId === `VectorService_${id}`,
  );
  if (!found) throw new Error(`there is no operation ${id}`);
  return found;
}

const namesOf = (id: string, place: "path" | "query") =>
  operation(id)
    .operation.parameters.filter((parameter) => parameter.in === place)
    .map(({ name }) => name);

describe("the document", () => {
  it("is valid OpenAPI 3.1", () => expectValid(document));

  it.each([
    ["ListShelves", "GET", "/v1/shelves", [], ["pageSize", "pageToken"]],
    ["CreateShelf", "POST", "/v1/shelves", [], []],
    ["GetBook", "GET", "/v1/shelves/{name}/books/{name2}", ["name", "name2"], []],
    ["CreateBook", "POST", "/v1/shelves/{parent}/books", ["parent"], ["bookId", "requestId"]],
    [
      "UpdateBook",
      "PATCH",
      "/v1/shelves/{book.name}/books/{book.name2}",
      ["book.name", "book.name2"],
      ["updateMask"],
    ],
    ["SearchBooks", "GET", "/v2/shelves/{parent}/books:search", ["parent"], ["query"]],
    ["ReturnBooks", "PUT", "/v2/checkouts/{id}", ["id"], []],
    ["GetMessage", "GET", "/v3/messages/{messageId}", ["messageId"], ["revision", "sub.subfield", "userId"]],
    [
      "GetMessage_2",
      "GET",
      "/v3/users/{userId}/messages/{messageId}",
      ["userId", "messageId"],
      ["revision", "sub.subfield"],
    ],
    ["Page", "GET", "/page/{page}", ["page"], []],
    ["Upload", "POST", "/file/{filename}:upload", ["filename"], []],
    ["Echo_2", "POST", "/echo", [], []],
    [
      "Echo_8",
      "GET",
      "/echo/n/{nested.stringValue}",
      ["nested.stringValue"],
      expect.arrayContaining(["boolValue", "enumList"]),
    ],
  ])("%s is %s %s", (id, method, path, inPath, inQuery) => {
    expect(operation(id)).toMatchObject({ method, path });
    expect(namesOf(id, "path")).toEqual(inPath);
    expect(namesOf(id, "query")).toEqual(inQuery);
  });

  it("has all parameters of each path, and unique operation ids", () => {
    const all = operationsOf(document);
    for (const { path, operation } of all) {
      const names = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name);
      expect(names).toEqual(
        operation.parameters.filter(({ in: place }) => place === "path").map(({ name }) => name),
      );
    }
    const ids = all.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).not.toContain("VectorService_OptionsMessage");
  });

  it("takes its texts from the comments", () => {
    expect(operation("GetBook").operation).toMatchObject({
      summary: "Get a book",
      description: "Returns it.\n\nWhole.",
      tags: ["VectorService"],
    });
    expect(operation("Echo_3").operation.parameters[0]).toEqual({
      name: "stringValue",
      in: "path",
      required: true,
      description: "A text, 2 to 5 characters.",
      schema: { type: "string", minLength: 2, maxLength: 5 },
      example: "abc",
    });
  });

  it("says if a parameter may contain slashes", () => {
    expect(operation("Page").operation.parameters[0]?.description).toBe(
      "Any number of segments, with the slashes between them, of `{page=**}`",
    );
  });

  it("leaves path fields out of the body, also in nested messages", () => {
    const whole = operation("UpdateMessageAll").operation.requestBody?.content["application/json"];
    expect(Object.keys(whole?.schema?.properties ?? {})).toEqual(["text"]);
    const field = operation("UpdateBook").operation.requestBody?.content["application/json"];
    expect(Object.keys(field?.schema?.properties ?? {})).not.toContain("name");
    expect(Object.keys(field?.schema?.properties ?? {})).toContain("title");
  });

  it("describes replies that are a field, a stream, or not JSON", () => {
    const reply = (id: string) => (operation(id).operation.responses["200"] as { content: object }).content;
    expect(reply("GetCheckout")).toEqual({
      "application/json": { schema: { type: "array", items: { $ref: "#/components/schemas/Book" } } },
    });
    expect(reply("GetWrapped")).toEqual({ "application/json": { schema: { type: ["string", "null"] } } });
    expect(reply("Page")).toEqual({ "*/*": {} });
    expect(Object.keys(reply("CreateShelf"))).toEqual(["application/json", "application/grpc"]);
    expect(operation("Upload").operation.requestBody?.content).toEqual({ "*/*": {} });
  });

  it("shows each call as a curl command", () => {
    const curl = (id: string) => operation(id).operation["x-codeSamples"][0]?.source;
    expect(curl("Echo_3")).toBe(
      "curl 'https://books.example/echo/s/abc' \\\n  -H \"Authorization: Bearer $TOKEN\"",
    );
    expect(curl("SetTheme")).toBe(
      [
        "curl -X PUT 'https://books.example/v5/theme'",
        '-H "Authorization: Bearer $TOKEN"',
        "-H 'Content-Type: application/json'",
        "-d '{}'",
      ].join(" \\\n  "),
    );
  });
});

describe("the schemas", () => {
  const scalars = methodNamed("Echo").input;
  const schema = { $ref: "#/components/schemas/Scalars" };

  it.each<[string, JsonObject]>([
    ["an empty message", {}],
    ["numbers", { doubleValue: 1.5, floatValue: "NaN", int32Value: -1, uint32Value: 4294967295 }],
    ["64 bits", { int64Value: "-9223372036854775808", uint64Value: "18446744073709551615" }],
    ["bytes", { bytesValue: "AQID" }],
    ["times", { timestamp: "2026-11-23T09:30:00.125Z", duration: "-3.5s", fieldMask: "a,b.cD" }],
    ["wrappers", { boolWrapper: true, int64Wrapper: "1", floatWrapper: "Infinity", bytesWrapper: "AQ==" }],
    ["null wrappers", { stringWrapper: null, doubleWrapper: null }],
    ["enums", { enumValue: "ENUM_OTHER", enumList: ["ENUM_VALUE"] }],
    ["a oneof", { oneofMessageValue: { stringValue: "abc" } }],
    ["nesting", { nested: { nested: { boolValue: true } }, messageList: [{}, { boolValue: true }] }],
    ["a map", { stringMap: { a: "b" } }],
    ["free-form JSON", { structValue: { a: [1, null] }, value: [true] }],
    ["a custom JSON name", { "custom-kebab": "x" }],
  ])("accept %s", (_name, json) => {
    expect(check(schema, json)).toEqual([]);
    expect(() => fromJson(scalars, json)).not.toThrow();
  });

  it.each<[string, JsonValue]>([
    ["a string", "x"],
    ["an unknown member", { unknown: 1 }],
    ["a number for 64 bits", { int64Value: 1 }],
    ["a fraction", { int32Value: 1.5 }],
    ["a number that is too large", { int32Value: 2147483648 }],
    ["a negative unsigned number", { uint32Value: -1 }],
    ["a string for a number", { int32Value: "one" }],
    ["a time without a zone", { timestamp: "2026-11-23T09:30:00" }],
    ["a duration without a unit", { duration: "3" }],
    ["an unknown enum", { enumValue: "ENUM_NONE" }],
    ["two members of a oneof", { oneofBoolValue: true, oneofStringValue: "x" }],
    ["a map of numbers", { stringMap: { a: 1 } }],
    ["a string that is too short", { stringValue: "a" }],
    ["a string that is too long", { stringValue: "abcdef" }],
  ])("reject %s", (_name, json) => {
    expect(check(schema, json)).not.toEqual([]);
  });

  it("accept everything that protobuf-es writes", () => {
    const text = fc.string({ minLength: 2, maxLength: 5, unit: "grapheme-ascii" });
    const leaf = fc.record(
      {
        doubleValue: fc.double(),
        floatValue: fc.float(),
        int32Value: fc.integer(),
        int64Value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        uint64Value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        bytesValue: fc.uint8Array(),
        stringValue: text,
        enumValue: fc.integer({ min: 0, max: 2 }),
        doubleList: fc.array(fc.double()),
        stringMap: fc.dictionary(fc.string(), fc.string()),
        int64Wrapper: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        choice: fc.oneof(
          fc.record({ case: fc.constant("oneofDoubleValue"), value: fc.double() }),
          fc.record({ case: fc.constant("oneofBoolValue"), value: fc.boolean() }),
        ),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(leaf, fc.array(leaf), (outer, messageList) => {
        const message = create(scalars, { ...outer, messageList } as never);
        expect(check(schema, toJson(scalars, message))).toEqual([]);
      }),
    );
  });

  it("describe oneofs and enum values", () => {
    const { Scalars, "Scalars.Enum": values } = document.components.schemas;
    expect(Scalars?.description).toContain("`oneofMessageValue`. What is chosen.");
    expect(values?.description).toBe("- `ENUM_UNSPECIFIED`\n- `ENUM_VALUE`: A value.\n- `ENUM_OTHER`");
  });

  it("accept error details by their type", () => {
    const status = { $ref: "#/components/schemas/Status" };
    const detail = { "@type": "type.googleapis.com/google.rpc.ErrorInfo", ...info };
    expect(check(status, { code: 13, message: "no", details: [detail] })).toEqual([]);
    expect(check(status, { code: 13, details: [{ ...detail, "@type": "x/google.rpc.Other" }] })).not.toEqual(
      [],
    );
    expect(check(status, { code: 13, details: [{ ...detail, more: 1 }] })).not.toEqual([]);
    const { examples } = document.components.responses.default!.content["application/json"]!;
    expect(examples?.INTERNAL?.value).toEqual({ code: 13, message: "no", details: [detail] });
  });
});
