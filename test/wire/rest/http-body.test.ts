import { gunzipSync, gzipSync } from "node:zlib";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { createRestRouter } from "../../../src/wire/rest/rules.ts";
import { createWire } from "../../../src/wire/wire.ts";
import {
  exchange,
  httpVersions,
  listenBare,
  type RawReply,
  type RawRequest,
} from "../../support/wire/exchange.ts";
import { bindJson, jsonOf, type MethodShape, serviceWithRules } from "../../support/wire/rest.ts";

const httpBody = ".google.api.HttpBody";
const bytes = Buffer.from([0, 255, 10, 0, 128]);
const long = Buffer.from("<p>hello</p>".repeat(1000));

interface Options extends MethodShape {
  readonly reply?: JsonObject;
  readonly rpcOnRestPaths?: boolean;
  readonly work?: (context: HandlerContext) => void;
}

/** Sends a request to a method with this rule. Returns the message that the method received, and the reply. */
async function call(
  rule: JsonObject,
  request: RawRequest,
  { reply = {}, work, rpcOnRestPaths = false, ...shape }: Options = {},
  version: (typeof httpVersions)[number] = "1.1",
): Promise<RawReply & { message: JsonValue | undefined }> {
  const service = serviceWithRules({ One: rule }, shape);
  let message: JsonValue | undefined;
  const bound = bindJson(service, (method, input, context) => {
    message = jsonOf(method.input, input);
    work?.(context);
    return reply;
  });
  const port = await listenBare(createWire({ services: [bound], rpcOnRestPaths }), version);
  return { ...(await exchange(port, version, request)), message };
}

describe.each(httpVersions)("a google.api.HttpBody over HTTP/%s", (version) => {
  it("is read from a body of any type", async () => {
    const upload = { path: "/file/a/b.bin:upload", headers: { "content-type": "image/x" }, body: bytes };
    const rule = { post: "/file/{filename=**}:upload", body: "file" };
    const { status, message } = await call(rule, upload, { input: "UploadRequest" }, version);
    expect(status).toBe(200);
    expect(message).toEqual({
      filename: "a/b.bin",
      file: { contentType: "image/x", data: bytes.toString("base64") },
    });
  });

  it("is sent unchanged with its type", async () => {
    const reply = { contentType: "image/x", data: bytes.toString("base64") };
    const got = await call(
      { get: "/a" },
      { method: "GET", path: "/a" },
      { output: httpBody, reply },
      version,
    );
    expect(got.status).toBe(200);
    expect(got.headers["content-type"]).toBe("image/x");
    expect(got.headers["content-length"]).toBe(String(bytes.length));
    expect(got.body).toEqual(bytes);
  });
});

describe("a request with a google.api.HttpBody", () => {
  const rule = { post: "/a", body: "*" };
  const data = bytes.toString("base64");

  it.each<[string, JsonObject, RawRequest, Options, JsonValue]>([
    [
      "is the whole message",
      rule,
      { path: "/a", headers: { "content-type": "application/json" }, body: bytes },
      { input: httpBody },
      { contentType: "application/json", data },
    ],
    ["may have no type", rule, { path: "/a", body: bytes }, { input: httpBody }, { data }],
    [
      "may be empty",
      rule,
      { path: "/a", headers: { "content-type": "text/plain" } },
      { input: httpBody },
      { contentType: "text/plain" },
    ],
    [
      "may have no body",
      { post: "/{filename}", body: "file" },
      { path: "/x" },
      { input: "UploadRequest" },
      { filename: "x" },
    ],
    [
      "may be compressed",
      rule,
      {
        path: "/a",
        headers: { "content-encoding": "gzip", "content-type": "text/plain" },
        body: gzipSync(bytes),
      },
      { input: httpBody },
      { contentType: "text/plain", data },
    ],
    [
      "may have an RPC type on a path that accepts those",
      { post: "/{filename}", body: "file" },
      { path: "/x", headers: { "content-type": "application/proto" }, body: bytes },
      { input: "UploadRequest", rpcOnRestPaths: true },
      { filename: "x", file: { contentType: "application/proto", data } },
    ],
    [
      "can be combined with a query",
      { post: "/a", body: "file" },
      { path: "/a?filename=x", body: bytes },
      { input: "UploadRequest" },
      { filename: "x", file: { data } },
    ],
    [
      "is proto JSON in the body of another message",
      rule,
      {
        path: "/a",
        headers: { "content-type": "application/json" },
        body: `{"file":{"contentType":"a/b","data":"${data}"}}`,
      },
      { input: "UploadRequest" },
      { file: { contentType: "a/b", data } },
    ],
  ])("%s", async (_what, rule, request, options, message) => {
    const got = await call(rule, request, options);
    expect(got.message).toEqual(message);
    expect(got.status).toBe(200);
  });

  it.each<[string, RawRequest, number]>([
    ["too large", { path: "/a", body: Buffer.alloc(65_537) }, 413],
    [
      "too large after decompression",
      { path: "/a", headers: { "content-encoding": "gzip" }, body: gzipSync(Buffer.alloc(65_537)) },
      413,
    ],
    ["invalid gzip", { path: "/a", headers: { "content-encoding": "gzip" }, body: bytes }, 400],
    ["combined with a query for its fields", { path: "/a?content_type=x", body: bytes }, 400],
  ])("is refused if it is %s", async (_what, request, status) => {
    const got = await call(rule, request, { input: httpBody });
    expect(got.message).toBeUndefined();
    expect(got.status).toBe(status);
  });

  it.each<[string, JsonObject, string]>([
    [httpBody, { post: "/{content_type}", body: "*" }, "content_type"],
    ["UploadRequest", { post: "/{file.content_type}", body: "file" }, "file.content_type"],
  ])("of %s can't be bound by a variable", (input, rule, name) => {
    const { methods } = serviceWithRules({ One: rule }, { input });
    expect(() => createRestRouter(methods)).toThrow(
      `it binds ${name}, which is part of the body, a google.api.HttpBody, at column 3`,
    );
  });
});

describe("a reply with a google.api.HttpBody", () => {
  const get: RawRequest = { method: "GET", path: "/a" };
  const reply = { contentType: "text/html", data: long.toString("base64") };
  const acceptGzip = { ...get, headers: { "accept-encoding": "gzip" } };

  it("is sent unchanged if it is a field", async () => {
    const rule = { get: "/a", responseBody: "file" };
    const { headers, body } = await call(rule, get, { output: "UploadRequest", reply: { file: reply } });
    expect(headers["content-type"]).toBe("text/html");
    expect(body).toEqual(long);
  });

  it.each<JsonObject>([{}, { file: {} }])("is empty if the message is %j", async (unset) => {
    const rule = { get: "/a", responseBody: "file" };
    const { status, headers, body } = await call(rule, get, { output: "UploadRequest", reply: unset });
    expect(status).toBe(200);
    expect(headers["content-type"]).toBe("application/octet-stream");
    expect(body.length).toBe(0);
  });

  it("is compressed if the client accepts it", async () => {
    const { headers, body } = await call({ get: "/a" }, acceptGzip, { output: httpBody, reply });
    expect(headers["content-encoding"]).toBe("gzip");
    expect(headers["content-type"]).toBe("text/html");
    expect(gunzipSync(body)).toEqual(long);
  });

  it("is not compressed twice", async () => {
    const work = ({ responseHeader }: HandlerContext) => responseHeader.set("content-encoding", "br");
    const { headers, body } = await call({ get: "/a" }, acceptGzip, { output: httpBody, reply, work });
    expect(headers["content-encoding"]).toBe("br");
    expect(body).toEqual(long);
  });

  it("is left out of the reply to HEAD", async () => {
    const head = { method: "HEAD", path: "/a" };
    const { status, headers, body } = await call({ get: "/a" }, head, { output: httpBody, reply });
    expect(status).toBe(200);
    expect(headers["content-type"]).toBe("text/html");
    expect(headers["content-length"]).toBe(String(long.length));
    expect(body.length).toBe(0);
  });

  it("with a type that HTTP can't carry becomes an error", async () => {
    const { status, headers } = await call({ get: "/a" }, get, {
      output: httpBody,
      reply: { contentType: "a/b\r\nx-evil: 1" },
    });
    expect(status).toBe(500);
    expect(headers["content-type"]).toBe("application/json");
    expect(headers["x-evil"]).toBeUndefined();
  });
});
