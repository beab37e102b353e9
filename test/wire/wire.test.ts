import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect as http2Connect } from "node:http2";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { create, fromBinary, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type HandlerContext, type Interceptor } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import {
  AddOTPEmailRequestSchema,
  AddOTPEmailResponseSchema,
  UserService,
} from "../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { listen } from "../../src/http/server.ts";
import { bind, createWire, protocolOf } from "../../src/wire/wire.ts";
import { transport } from "../support/app.ts";
import { outcomeOf, refusalOf } from "../support/errors.ts";
import { createGate } from "../support/gate.ts";
import { frameOf } from "../support/wire/exchange.ts";

const rpc = "/countersign.user.v3alpha.UserService";

interface Options {
  readonly interceptors?: Interceptor[];
  readonly rpcOnRestPaths?: boolean;
  /** Runs before AddOTPEmail replies with the user id as the id of the authenticator. */
  readonly work?: (context: HandlerContext) => Promise<void> | void;
}

/** Serves an echo service on a free port. */
async function serve({
  interceptors = [],
  work,
  rpcOnRestPaths = false,
}: Options = {}): Promise<{ origin: string; port: number }> {
  const handler = createWire({
    interceptors,
    rpcOnRestPaths,
    errorDomain: "wire.example",
    aliases: { "/other.Service/Add": UserService.method.addOTPEmail },
    services: [
      bind(UserService, {
        async addOTPEmail({ userId, email }, context) {
          await work?.(context);
          return { otpEmailId: userId, verificationCode: email?.address };
        },
        verifyOTPEmail: () => ({}),
        createUser: ({ displayName }) => ({ userId: displayName }),
        getUserByID: ({ userId }) => ({ user: { userId } }),
      }),
    ],
  });
  const server = await listen({ host: "127.0.0.1", port: 0, handler });
  onTestFinished(() => server.close(0));
  return server;
}

const message = create(AddOTPEmailRequestSchema, { userId: "u", email: { address: "a@x.io" } });

async function post(
  url: string,
  contentType: string,
  body: Uint8Array | string,
  headers: Record<string, string> = {},
) {
  const response = await fetch(url, {
    method: "POST",
    body,
    headers: { "content-type": contentType, ...headers },
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  return { status: response.status, headers: response.headers, bytes, text: bytes.toString() };
}

describe("buf curl", () => {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const buf = (...args: string[]) =>
    promisify(execFile)(join(root, "node_modules/.bin/buf"), args, { cwd: root });
  // Compiling the proto files takes most of the time of a call.
  const schema = join(mkdtempSync(join(tmpdir(), "countersign-test-")), "schema.binpb");
  beforeAll(() => buf("build", "-o", schema));
  afterAll(() => rmSync(dirname(schema), { recursive: true }));

  it.each(["grpc", "grpcweb", "connect"])(
    "makes calls over %s, and reads errors",
    { timeout: 60_000 },
    async (protocol) => {
      const { origin } = await serve({
        work: ({ requestHeader }) => {
          if (requestHeader.get("x-fail")) throw new ConnectError("as asked for", Code.AlreadyExists);
        },
      });
      const options = ["--schema", schema, "--protocol", protocol, "--http2-prior-knowledge"];
      const call = (...more: string[]) =>
        buf("curl", ...options, ...more, "-d", '{"userId":"u"}', `${origin}${rpc}/AddOTPEmail`);
      expect(JSON.parse((await call()).stdout)).toEqual({ otpEmailId: "u" });
      const failed = await call("-H", "x-fail: yes").catch((error: { stderr: string }) => error);
      expect(failed.stderr).toContain("as asked for");
      expect(failed.stderr).toContain("already_exists");
    },
  );
});

describe("every protocol", () => {
  it.each([
    ["gRPC-Web over HTTP/2", (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "2" })],
    [
      "gRPC-Web JSON",
      (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
    ],
    ["gRPC JSON", (baseUrl: string) => createGrpcTransport({ baseUrl, useBinaryFormat: false })],
    ["Connect JSON over HTTP/2", (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "2" })],
    [
      "Connect proto over HTTP/1.1",
      (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: true }),
    ],
  ])("%s carries messages, metadata, trailers and errors", async (_name, make) => {
    const { origin } = await serve({
      work: ({ requestHeader, responseHeader, responseTrailer }) => {
        responseHeader.set("x-header", requestHeader.get("x-asked") ?? "");
        responseHeader.set("x-bytes-bin", requestHeader.get("x-bytes-bin") ?? "");
        responseTrailer.set("x-trailer", "at the end");
        if (requestHeader.get("x-asked") === "fail") {
          throw new ConnectError("no", Code.Aborted, { "x-meta": "data" });
        }
      },
    });
    const client = createClient(UserService, make(origin));
    let header = new Headers();
    let trailer = new Headers();
    const headers = { "x-asked": "yes", "x-bytes-bin": "AAEC" };
    const options = {
      headers,
      onHeader: (h: Headers) => {
        header = h;
      },
      onTrailer: (t: Headers) => {
        trailer = t;
      },
    };
    const reply = await client.addOTPEmail({ userId: "ü", email: { address: "a@x.io" } }, options);
    expect(reply).toMatchObject({ otpEmailId: "ü", verificationCode: "a@x.io" });
    expect([header.get("x-header"), header.get("x-bytes-bin"), trailer.get("x-trailer")]).toEqual([
      "yes",
      "AAEC",
      "at the end",
    ]);
    const refusal = await refusalOf(client.addOTPEmail({ userId: "u" }, { headers: { "x-asked": "fail" } }));
    expect(refusal).toMatchObject({
      code: "Aborted",
      message: "no",
      reason: "ABORTED",
      domain: "wire.example",
    });
    expect(refusal.headers.get("x-meta")).toBe("data");
  });

  it("gRPC also works over HTTP/1.1, with chunked trailers", async () => {
    const { port } = await serve();
    const headers = { "content-type": "application/grpc", te: "trailers" };
    const request = httpRequest({
      port,
      host: "127.0.0.1",
      method: "POST",
      path: `${rpc}/AddOTPEmail`,
      headers,
    });
    request.end(frameOf(toBinary(AddOTPEmailRequestSchema, message)));
    const [response] = (await once(request, "response")) as [IncomingMessage];
    const body = Buffer.concat(await response.toArray());
    expect(body.readUInt32BE(1)).toBe(body.length - 5);
    expect(response.trailers).toEqual({ "grpc-status": "0" });
  });

  it("is known to interceptors", async () => {
    const seen: string[] = [];
    const { origin } = await serve({
      interceptors: [
        (next) => (request) => {
          seen.push(protocolOf(request));
          return next(request);
        },
      ],
    });
    for (const protocol of ["Connect JSON", "Connect proto", "gRPC", "gRPC-Web", "REST"] as const) {
      await createClient(UserService, transport(origin, protocol)).getUserByID({ userId: "u" });
    }
    expect(seen).toEqual(["connect", "connect", "grpc", "grpc-web", "rest"]);
  });

  it.each(["Connect JSON", "Connect proto", "gRPC", "gRPC-Web", "REST"] as const)(
    "T49 hides unexpected errors: %s",
    async (protocol) => {
      const { origin } = await serve({
        work: () => {
          throw new Error("select * from secrets");
        },
      });
      const client = createClient(UserService, transport(origin, protocol));
      const refusal = await refusalOf(client.addOTPEmail({ userId: "u" }));
      expect(refusal).toMatchObject({ code: "Internal", message: "internal error", reason: "INTERNAL" });
    },
  );

  it.each(["Connect JSON", "gRPC", "gRPC-Web"] as const)(
    "ends a call at its deadline, even if the method ignores it: %s",
    async (protocol) => {
      const { origin } = await serve({ work: () => new Promise(() => {}) });
      const { pathname } = new URL(`${origin}${rpc}/AddOTPEmail`);
      const binary = frameOf(toBinary(AddOTPEmailRequestSchema, message));
      if (protocol === "Connect JSON") {
        const reply = await post(origin + pathname, "application/json", "{}", { "connect-timeout-ms": "50" });
        expect([reply.status, JSON.parse(reply.text).code]).toEqual([504, "deadline_exceeded"]);
      } else if (protocol === "gRPC-Web") {
        const reply = await post(origin + pathname, "application/grpc-web", binary, {
          "grpc-timeout": "50m",
        });
        expect(reply.text).toContain("grpc-status: 4");
      } else {
        const call = createClient(UserService, transport(origin, protocol)).addOTPEmail(
          {},
          { timeoutMs: 50 },
        );
        expect((await refusalOf(call)).code).toBe("DeadlineExceeded");
      }
    },
  );

  it.each([
    ["application/json", "connect-timeout-ms", "soon"],
    ["application/json", "connect-timeout-ms", "12345678901"],
    ["application/json", "connect-protocol-version", "2"],
    ["application/grpc-web", "grpc-timeout", "1"],
    ["application/grpc-web", "grpc-timeout", "123456789m"],
  ])("refuses %s with %s: %s", async (contentType, name, value) => {
    const { origin } = await serve();
    const body = contentType === "application/json" ? "{}" : frameOf(new Uint8Array());
    const reply = await post(`${origin}${rpc}/AddOTPEmail`, contentType, body, { [name]: value });
    if (contentType === "application/json") expect(reply.status).toBe(400);
    else expect(reply.text).toContain("grpc-status: 3");
  });

  it("serves an alias over the three RPC protocols", async () => {
    const { origin } = await serve();
    const data = toBinary(AddOTPEmailRequestSchema, message);
    const url = `${origin}/other.Service/Add`;
    expect(
      JSON.parse((await post(url, "application/json", toJsonString(AddOTPEmailRequestSchema, message))).text),
    ).toEqual({
      otpEmailId: "u",
      verificationCode: "a@x.io",
    });
    expect((await post(url, "application/proto", data)).status).toBe(200);
    expect((await post(url, "application/grpc-web+proto", frameOf(data))).text).toContain("grpc-status: 0");
    expect((await post(url, "application/grpc", frameOf(data))).status).toBe(200);
  });
});

describe("compression", () => {
  const json = toJsonString(AddOTPEmailRequestSchema, message);

  it.each([
    ["gzip", gzipSync(json)],
    ["br", brotliCompressSync(json)],
    ["identity", Buffer.from(json)],
  ])("%s is read", async (encoding, body) => {
    const { origin } = await serve();
    const headers = { "content-encoding": encoding };
    expect((await post(`${origin}${rpc}/AddOTPEmail`, "application/json", body, headers)).status).toBe(200);
    expect(
      (await post(`${origin}/v3alpha/users/u/otp_email`, "application/json", Buffer.from("{}"))).status,
    ).toBe(200);
  });

  it("brotli is read on every path of a method, and path variables are bound", async () => {
    const { origin } = await serve({ rpcOnRestPaths: true });
    const br = { "content-encoding": "br" };
    const grpcBr = { "grpc-encoding": "br" };
    const proto = brotliCompressSync(toBinary(AddOTPEmailRequestSchema, message));
    const other = brotliCompressSync(
      toBinary(AddOTPEmailRequestSchema, create(AddOTPEmailRequestSchema, { userId: "v" })),
    );
    const rest = `${origin}/v3alpha/users/u/otp_email`;
    const restJson = brotliCompressSync('{"email":{"address":"a@x.io"}}');
    for (const url of [`${origin}${rpc}/AddOTPEmail`, `${origin}/other.Service/Add`]) {
      expect((await post(url, "application/json", brotliCompressSync(json), br)).text).toContain('"u"');
      expect((await post(url, "application/grpc-web", frameOf(proto, 1), grpcBr)).text).toContain("a@x.io");
    }
    expect((await post(rest, "application/json", restJson, br)).text).toContain('"u"');
    expect((await post(rest, "application/proto", proto, br)).text).toContain("a@x.io");
    expect((await post(rest, "application/grpc-web", frameOf(proto, 1), grpcBr)).text).toContain("a@x.io");
    expect((await post(rest, "application/proto", other, br)).status).toBe(400);
  });

  it("another coding is refused with a list of the supported ones", async () => {
    const { origin } = await serve();
    const reply = await post(`${origin}${rpc}/AddOTPEmail`, "application/json", json, {
      "content-encoding": "zstd",
    });
    expect([reply.status, JSON.parse(reply.text).code]).toEqual([501, "unimplemented"]);
    expect(reply.headers.get("accept-encoding")).toBe("gzip,br");
  });

  it("T33 a decompression bomb is rejected at the limit, and corrupt data is the caller's fault", async () => {
    const { origin } = await serve();
    const url = `${origin}${rpc}/AddOTPEmail`;
    const headers = { "content-encoding": "gzip" };
    const bomb = gzipSync(Buffer.alloc(50 << 20, "a"));
    expect(bomb.length).toBeLessThan(64 * 1024);
    const refused = await post(url, "application/json", bomb, headers);
    expect([refused.status, JSON.parse(refused.text).code]).toEqual([429, "resource_exhausted"]);
    expect((await post(url, "application/json", "no gzip", headers)).status).toBe(400);
    const framed = await post(url, "application/grpc-web", frameOf(bomb, 1), { "grpc-encoding": "gzip" });
    expect(framed.text).toContain("grpc-status: 8");
    const fast = { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } };
    const brotli = brotliCompressSync(Buffer.alloc(50 << 20, "a"), fast);
    expect(brotli.length).toBeLessThan(64 * 1024);
    for (const [target, status] of [
      [url, 429],
      [`${origin}/v3alpha/users/u/otp_email`, 413],
    ] as const) {
      const reply = await post(target, "application/json", brotli, { "content-encoding": "br" });
      expect(reply.status).toBe(status);
      expect(reply.text).toContain("REQUEST_TOO_LARGE");
    }
  });

  it("is used for replies above 1 KiB if the client accepts it", async () => {
    const { origin } = await serve();
    const displayName = "x".repeat(5_000);
    const reply = await post(
      `${origin}${rpc}/CreateUser`,
      "application/json",
      JSON.stringify({ displayName }),
      {
        "accept-encoding": "gzip",
      },
    );
    expect(reply.headers.get("content-encoding")).toBe("gzip");
    expect(JSON.parse(reply.text)).toEqual({ userId: displayName });
    const client = createClient(UserService, transport(origin, "gRPC"));
    expect((await client.createUser({ displayName })).userId).toBe(displayName);
  });
});

describe("an invalid gRPC frame", () => {
  const data = toBinary(AddOTPEmailRequestSchema, message);
  it.each([
    ["an empty body", new Uint8Array(), 12],
    ["a truncated prefix", new Uint8Array(3), 3],
    ["a truncated message", frameOf(data).subarray(0, -1), 3],
    ["two messages", Buffer.concat([frameOf(data), frameOf(data)]), 12],
    ["T33 a length of 4 GiB", Buffer.from([0, 255, 255, 255, 255, 1]), 8],
    ["T33 a compressed message without an encoding", frameOf(data, 1), 3],
    ["invalid protobuf", frameOf(Buffer.from([255, 255, 255])), 3],
    ["a string that is not UTF-8", frameOf(Buffer.from([0x0a, 2, 0xc3, 0x28])), 3],
    ["T34 a message nested 10,000 deep", frameOf(nested(10_000)), 3],
  ])("%s", async (_name, body, status) => {
    const { origin } = await serve();
    const reply = await post(`${origin}${rpc}/AddOTPEmail`, "application/grpc-web", body);
    expect(reply.text).toContain(`grpc-status: ${status}\r\n`);
    expect(reply.text).toContain("grpc-status-details-bin: ");
  });

  function nested(depth: number): Buffer {
    // Start tags of the unknown group 15, and as many end tags.
    return Buffer.concat([Buffer.alloc(depth, 0x7b), Buffer.alloc(depth, 0x7c)]);
  }
});

describe("JSON", () => {
  it.each([
    ["a lone surrogate", '{"userId":"\\ud800"}', "user_id"],
    ["a number for a string", '{"userId":1}', "user_id"],
    ["a list for a string", '{"userId":["u"]}', "user_id"],
    ["both names of a field", '{"userId":"a","user_id":"b"}', "user_id"],
    ["a string for a message", '{"email":"a@x.io"}', "email"],
    ["an invalid field of a message", '{"email":{"address":{}}}', "email.address"],
    ["an invalid member of a oneof", '{"email":{"isVerified":1}}', "email.is_verified"],
    [
      "an invalid field of a member",
      '{"email":{"sendCode":{"urlTemplate":7}}}',
      "email.send_code.url_template",
    ],
  ])("with %s names the field", async (_name, body, field) => {
    const { origin } = await serve();
    const reply = await post(
      `${origin}/v3alpha/users/u/otp_email`,
      "application/json",
      body.replace(/"userId":("a",)?/, ""),
    );
    const connect = await post(`${origin}${rpc}/AddOTPEmail`, "application/json", body);
    expect(connect.status).toBe(400);
    const fields = (
      JSON.parse(connect.text).details as { debug: { fieldViolations?: { field: string }[] } }[]
    ).flatMap(({ debug }) => debug.fieldViolations ?? []);
    expect(fields.map((violation) => violation.field)).toEqual([field]);
    expect(reply.status).toBe(400);
  });

  it.each([
    ["T34 10,000 nested lists", `{"x":${"[".repeat(10_000)}${"]".repeat(10_000)}}`, 400],
    ["T34 5,000 nested objects", `${'{"x":'.repeat(5_000)}{}${"}".repeat(5_000)}`, 400],
    ["100 nested objects", `${'{"x":'.repeat(99)}{}${"}".repeat(99)}`, 200],
    ["a duplicate key", '{"userId":"a","userId":"b"}', 400],
    ["a duplicate key, once escaped", '{"userId":"a","user\\u0049d":"b"}', 400],
    ["a duplicate key in an unknown field", '{"x":[1,{"y":"\\"","z":2,"y":3}]}', 400],
    ["equal keys in different objects", '{"x":{"y":"x"},"y":[{"x":"y"},{"x":","}]}', 200],
    ["a byte order mark", "\ufeff{}", 200],
    ["U+0000 at the end", "{}\0", 400],
    ["two values", "{}{}", 400],
    ["a comment", "{/* */}", 400],
    ["a list", "[]", 400],
    ["null", "null", 400],
    ["a string", '"userId"', 400],
    ["a number", "1", 400],
    ["an empty body", "", 400],
    ["T34 a key __proto__", '{"__proto__":{"polluted":true}}', 200],
  ])("with %s is answered", async (_name, body, status) => {
    const { origin } = await serve();
    const reply = await post(`${origin}${rpc}/AddOTPEmail`, "application/json", body);
    expect(reply.status).toBe(status);
    if (status === 400) expect(reply.text).toContain("REQUEST_MALFORMED");
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  it("that is not UTF-8 is rejected", async () => {
    const { origin } = await serve();
    const body = Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x3a, 0x31, 0x7d]);
    expect((await post(`${origin}${rpc}/AddOTPEmail`, "application/json", body)).status).toBe(400);
  });
});

describe("paths and methods", () => {
  it.each([
    ["GET", `${rpc}/AddOTPEmail`, undefined, 405],
    ["PUT", `${rpc}/AddOTPEmail`, "application/json", 405],
    ["POST", `${rpc}/AddOTPEmail`, "text/plain", 415],
    ["POST", `${rpc}/AddOTPEmail`, "application/connect+json", 415],
    ["POST", `${rpc}/Nothing`, "application/json", 404],
    ["POST", `/${rpc}/AddOTPEmail`, "application/json", 404],
    ["POST", "/other.Service/Nothing", "application/json", 404],
    ["GET", "/v3alpha/users/%zz", undefined, 400],
    ["GET", "/v3alpha/users/%c3%28", undefined, 400],
    ["GET", "/v3alpha/users/..%2fadmin", undefined, 200],
    ["GET", "/v3alpha/users/a%252Fb", undefined, 200],
    ["HEAD", "/v3alpha/users/u", undefined, 200],
  ])("%s %s (%s) is %i", async (method, path, contentType, status) => {
    const { port } = await serve();
    const headers = contentType ? { "content-type": contentType } : {};
    const request = httpRequest({ port, host: "127.0.0.1", method, path, headers });
    request.end(contentType ? "{}" : undefined);
    const [response] = (await once(request, "response")) as [IncomingMessage];
    const body = (await response.toArray()).join("");
    expect(response.statusCode).toBe(status);
    expect(response.headers["content-type"]).toBe("application/json");
    if (status === 405) expect(response.headers.allow).toBe("POST, OPTIONS");
    if (status === 415) expect(response.headers["accept-post"]).toContain("application/grpc");
    if (method === "HEAD") expect(body).toBe("");
    else if (status >= 400) {
      expect(JSON.parse(body).details[0]).toMatchObject({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        domain: "wire.example",
      });
    } else if (path.includes("%252F")) expect(JSON.parse(body).user.userId).toBe("a%2Fb");
  });

  it.each([
    [`${rpc}/AddOTPEmail`, "POST, OPTIONS"],
    ["/v3alpha/users/u", "DELETE, GET, HEAD, OPTIONS"],
    ["/v3alpha/users", "POST, OPTIONS"],
  ])("OPTIONS %s returns %s", async (path, allow) => {
    const { origin } = await serve();
    const response = await fetch(origin + path, { method: "OPTIONS" });
    expect([response.status, response.headers.get("allow"), await response.text()]).toEqual([204, allow, ""]);
  });

  it("an unknown method is UNIMPLEMENTED for a gRPC client", async () => {
    const { origin } = await serve();
    const session = http2Connect(origin);
    onTestFinished(() => session.destroy());
    const stream = session.request({
      ":method": "POST",
      ":path": "/no.Such/Method",
      "content-type": "application/grpc",
    });
    stream.end();
    const trailers = once(stream, "trailers");
    stream.resume();
    expect((await trailers)[0]).toMatchObject({ "grpc-status": "12" });
    // Closing such a stream too early made Node 20 ask for its trailers forever.
    await once(stream, "close");
    expect(stream.rstCode).toBe(0);
  });
});

describe("an RPC body on a REST path", () => {
  const path = "/v3alpha/users/u/otp_email";
  const bodyOf = (userId: string) =>
    toBinary(
      AddOTPEmailRequestSchema,
      create(AddOTPEmailRequestSchema, { userId, email: { address: "a@x.io" } }),
    );

  it.each([
    ["without it", ""],
    ["with the same value", "u"],
  ])("gets the field of the path, in a message %s", async (_name, userId) => {
    const { origin } = await serve({ rpcOnRestPaths: true });
    const proto = await post(origin + path, "application/proto", bodyOf(userId));
    expect(fromBinary(AddOTPEmailResponseSchema, proto.bytes)).toMatchObject({
      otpEmailId: "u",
      verificationCode: "a@x.io",
    });
    const web = await post(origin + path, "application/grpc-web+proto", frameOf(bodyOf(userId)));
    expect(web.text).toContain("grpc-status: 0");
    expect(
      fromBinary(AddOTPEmailResponseSchema, web.bytes.subarray(5, 5 + web.bytes.readUInt32BE(1))).otpEmailId,
    ).toBe("u");
    const grpc = await post(origin + path, "application/grpc", frameOf(bodyOf(userId)));
    expect(grpc.headers.get("content-type")).toBe("application/grpc");
    expect(grpc.bytes.length).toBeGreaterThan(5);
  });

  it("T35 is rejected if the message contradicts the path", async () => {
    let called = false;
    const { origin } = await serve({
      rpcOnRestPaths: true,
      work: () => {
        called = true;
      },
    });
    const proto = await post(origin + path, "application/proto", bodyOf("v"));
    expect([proto.status, JSON.parse(proto.text).code]).toEqual([400, "invalid_argument"]);
    const web = await post(origin + path, "application/grpc-web", frameOf(bodyOf("v")));
    expect(web.text).toContain("grpc-status: 3");
    const query = await post(`${origin}${path}?user_id=v`, "application/proto", bodyOf(""));
    expect(query.status).toBe(400);
    expect(called).toBe(false);
  });

  it.each(["application/proto", "application/grpc", "application/grpc-web+proto"])(
    "is refused unless the option is set: %s",
    async (contentType) => {
      const { origin } = await serve();
      expect((await post(origin + path, contentType, frameOf(bodyOf("u")))).status).toBe(415);
    },
  );
});

describe("clients that disconnect", () => {
  async function disconnects(
    abandon: (port: number, started: Promise<void>) => Promise<void>,
  ): Promise<void> {
    const started = createGate();
    const aborted = createGate();
    const { origin, port } = await serve({
      work: async ({ signal, requestHeader }) => {
        if (!requestHeader.has("x-slow")) return;
        started.open();
        signal.addEventListener("abort", aborted.open);
        await aborted.opened;
      },
    });
    await abandon(port, started.opened);
    await aborted.opened;
    const client = createClient(UserService, transport(origin, "gRPC"));
    expect(await outcomeOf(client.addOTPEmail({ userId: "u" }))).toBe("OK");
  }

  it("on HTTP/1.1 are noticed, and others are served", async () => {
    await disconnects(async (port, started) => {
      const socket: Socket = connect(port, "127.0.0.1");
      socket.on("error", () => {});
      socket.write(
        `POST ${rpc}/AddOTPEmail HTTP/1.1\r\nhost: x\r\nx-slow: 1\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`,
      );
      await started;
      socket.resetAndDestroy();
    });
  });

  it("on HTTP/2 are noticed, and others are served", async () => {
    await disconnects(async (port, started) => {
      const session = http2Connect(`http://127.0.0.1:${port}`);
      session.on("error", () => {});
      const headers = {
        ":method": "POST",
        ":path": `${rpc}/AddOTPEmail`,
        "content-type": "application/json",
        "x-slow": "1",
      };
      const stream = session.request(headers);
      stream.on("error", () => {});
      stream.end("{}");
      await started;
      stream.close(8);
      await once(stream, "close");
      session.destroy();
    });
  });

  it("T33 are answered at once if their Content-Length is too large", async () => {
    const { port } = await serve();
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(
      `POST ${rpc}/AddOTPEmail HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10737418240\r\n\r\n{`,
    );
    let said = "";
    socket.on("data", (chunk) => {
      said += chunk;
    });
    await once(socket, "close");
    expect(said).toMatch(/^HTTP\/1\.1 429 /);
    expect(said).toMatch(/connection: close/i);
  });

  it("T33 are answered at the limit if they send endless chunks", async () => {
    const { port } = await serve();
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(
      `POST /v3alpha/users/u/otp_email HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`,
    );
    const timer = setInterval(() => socket.write(`2000\r\n${"x".repeat(0x2000)}\r\n`), 1);
    let said = "";
    socket.on("data", (chunk) => {
      said += chunk;
    });
    await once(socket, "close");
    clearInterval(timer);
    expect(said).toMatch(/^HTTP\/1\.1 413 /);
  });
});
