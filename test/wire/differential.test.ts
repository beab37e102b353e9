import { brotliCompressSync, gunzipSync, gzipSync } from "node:zlib";
import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor, type ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import { AddOTPEmailRequestSchema, UserService } from "../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { bind, createWire } from "../../src/wire/wire.ts";
import { exchange, frameOf, httpVersions, listenBare, type RawReply, type RawRequest } from "./exchange.ts";

// The lane and connect-node answer the same requests, with the same service and interceptors. What is compared is what
// a client goes by: the status, its headers, the message or the code of the error, and the trailers. The words and
// details of errors are the wire's own, and it announces no grpc-encoding that no message is in.

const messageBytesMax = 4_096;

const interceptor: Interceptor = (next) => async (request) => {
  request.header.set("x-seen", `${request.requestMethod} ${request.method.name} ${request.service.typeName}`);
  const response = await next(request);
  response.header.set("x-intercepted", "yes");
  return response;
};

const service: Partial<ServiceImpl<typeof UserService>> = {
  addOTPEmail({ userId, email }, { requestHeader, responseHeader, responseTrailer, timeoutMs, signal }) {
    const asked = requestHeader.get("x-do") ?? "";
    responseHeader.set("x-seen", requestHeader.get("x-seen") ?? "");
    responseHeader.set("x-bytes-bin", requestHeader.get("x-bytes-bin") ?? "");
    responseHeader.set("x-has-deadline", String((timeoutMs() ?? 0) > 0));
    responseHeader.set("x-aborted", String(signal.aborted));
    responseTrailer.set("x-trailer", "at the end");
    if (asked === "crash") throw new Error("select * from secrets");
    if (asked === "fail") {
      const error = new ConnectError("Grüße", Code.AlreadyExists, {
        "x-error": "yes",
        "x-seen": "by the error",
      });
      error.details.push({ desc: RetryInfoSchema, value: { retryDelay: { seconds: 1n } } });
      throw error;
    }
    if (asked === "unauthenticated")
      throw new ConnectError("who?", Code.Unauthenticated, { "www-authenticate": "Bearer" });
    return { otpEmailId: userId, verificationCode: asked === "big" ? "x".repeat(5_000) : email?.address };
  },
};

const path = "/countersign.user.v3alpha.UserService/AddOTPEmail";
const input = create(AddOTPEmailRequestSchema, { userId: "ü", email: { address: "a@x.io" } });
const json = toJsonString(AddOTPEmailRequestSchema, input);
const proto = toBinary(AddOTPEmailRequestSchema, input);
/** A message that is so many bytes long. */
const protoOf = (bytes: number) =>
  toBinary(AddOTPEmailRequestSchema, create(AddOTPEmailRequestSchema, { userId: "x".repeat(bytes - 3) }));
const jsonOf = (bytes: number) => JSON.stringify({ userId: "x".repeat(bytes - 13) });

type Headers = Record<string, string>;
type Case = readonly [name: string, request: Omit<RawRequest, "path"> & { readonly path?: string }];

const connectJson = (name: string, body: Uint8Array | string = json, headers: Headers = {}): Case => [
  `Connect JSON ${name}`,
  { body, headers: { "content-type": "application/json", ...headers } },
];
const connectProto = (name: string, body: Uint8Array = proto, headers: Headers = {}): Case => [
  `Connect proto ${name}`,
  { body, headers: { "content-type": "application/proto", ...headers } },
];
/** The same over gRPC and gRPC-Web. */
const framed = (name: string, body: Uint8Array = frameOf(proto), headers: Headers = {}): Case[] => [
  [`gRPC ${name}`, { body, headers: { "content-type": "application/grpc+proto", ...headers } }],
  [`gRPC-Web ${name}`, { body, headers: { "content-type": "application/grpc-web+proto", ...headers } }],
];

const cases: Case[] = [
  connectJson("message"),
  connectJson("with a charset", json, { "content-type": "application/json; charset=utf-8" }),
  connectJson("with a charset in capitals", json, { "content-type": "Application/JSON;charset=UTF-8" }),
  connectJson("with another charset", json, { "content-type": "application/json; charset=latin1" }),
  connectJson("with a parameter", json, { "content-type": "application/json; a=b" }),
  connectJson("in proto spelling", '{"user_id":"u"}'),
  connectJson("empty message", "{}"),
  connectJson("unknown fields", '{"userId":"u","isVerified":true,"x":[{}]}'),
  connectJson("version 1", json, { "connect-protocol-version": "1" }),
  connectJson("version 2", json, { "connect-protocol-version": "2" }),
  connectJson("metadata", json, { "x-bytes-bin": "AAEC" }),
  connectJson("deadline", json, { "connect-timeout-ms": "10000" }),
  connectJson("deadline that is none", json, { "connect-timeout-ms": "soon" }),
  connectJson("deadline of 11 digits", json, { "connect-timeout-ms": "12345678901" }),
  connectJson("error", json, { "x-do": "fail" }),
  connectJson("error of the unforeseen kind", json, { "x-do": "crash" }),
  connectJson("error that asks for a token", json, { "x-do": "unauthenticated" }),
  connectJson("gzip", gzipSync(json), { "content-encoding": "gzip" }),
  connectJson("identity", json, { "content-encoding": "identity" }),
  connectJson("brotli", brotliCompressSync(json), { "content-encoding": "br" }),
  connectJson("zstd", json, { "content-encoding": "zstd" }),
  connectJson("gzip that is none", json, { "content-encoding": "gzip" }),
  connectJson("gzip that breaks off", gzipSync(json).subarray(0, -4), { "content-encoding": "gzip" }),
  connectJson("gzip that is too long", gzipSync(jsonOf(50_000)), { "content-encoding": "gzip" }),
  connectJson("long reply, gzip accepted", json, { "x-do": "big", "accept-encoding": "gzip" }),
  connectJson("long reply, gzip accepted second", json, { "x-do": "big", "accept-encoding": "zstd, gzip" }),
  connectJson("long reply, brotli accepted", json, { "x-do": "big", "accept-encoding": "br" }),
  connectJson("long reply, gzip not accepted", json, { "x-do": "big", "accept-encoding": "gzip;q=0" }),
  connectJson("long reply to gzip", gzipSync(json), { "x-do": "big", "content-encoding": "gzip" }),
  connectJson("short reply, gzip accepted", json, { "accept-encoding": "gzip" }),
  connectJson("of no bytes", ""),
  connectJson("that is a list", "[]"),
  connectJson("that is null", "null"),
  connectJson("that is a string", '"u"'),
  connectJson("that breaks off", '{"userId":'),
  connectJson("with a number for a string", '{"userId":1}'),
  connectJson("with both spellings", '{"userId":"a","user_id":"b"}'),
  connectJson("with a key twice", '{"userId":"a","userId":"b"}'),
  connectJson("with two variants", '{"email":{"sendCode":{},"isVerified":true}}'),
  connectJson("with half a character", '{"userId":"\\ud800"}'),
  connectJson("that is not UTF-8", Buffer.from([...Buffer.from('{"userId":"'), 0xff, 0x22, 0x7d])),
  connectJson("nested deeply", `{"x":${"[".repeat(500)}${"]".repeat(500)}}`),
  connectJson("as long as can be", jsonOf(messageBytesMax)),
  connectJson("too long", jsonOf(messageBytesMax + 1)),
  ["Connect JSON too long, in chunks", { ...connectJson("", jsonOf(messageBytesMax + 1))[1], chunked: true }],
  connectProto("message"),
  connectProto("with a charset", proto, { "content-type": "application/proto; charset=utf-8" }),
  connectProto("of no bytes", new Uint8Array()),
  connectProto("of no bytes, gzip", new Uint8Array(), { "content-encoding": "gzip" }),
  connectProto("that is none", Buffer.from([255, 255])),
  connectProto("with a string that is not UTF-8", Buffer.from([0x0a, 2, 0xc3, 0x28])),
  connectProto("error", proto, { "x-do": "fail" }),
  connectProto("as long as can be", protoOf(messageBytesMax)),
  connectProto("too long", protoOf(messageBytesMax + 1)),
  ...framed("message"),
  ...framed("message of no bytes", frameOf(new Uint8Array())),
  ...framed("metadata", frameOf(proto), { "x-bytes-bin": "AAEC" }),
  ...framed("deadline", frameOf(proto), { "grpc-timeout": "10S" }),
  ...framed("deadline that is none", frameOf(proto), { "grpc-timeout": "10" }),
  ...framed("deadline of 9 digits", frameOf(proto), { "grpc-timeout": "123456789m" }),
  ...framed("error", frameOf(proto), { "x-do": "fail" }),
  ...framed("error of the unforeseen kind", frameOf(proto), { "x-do": "crash" }),
  ...framed("error that asks for a token", frameOf(proto), { "x-do": "unauthenticated" }),
  ...framed("gzip", frameOf(gzipSync(proto), 1), { "grpc-encoding": "gzip" }),
  ...framed("brotli", frameOf(brotliCompressSync(proto), 1), { "grpc-encoding": "br" }),
  ...framed("gzip that this message is not in", frameOf(proto), { "grpc-encoding": "gzip" }),
  ...framed("zstd", frameOf(proto, 1), { "grpc-encoding": "zstd" }),
  ...framed("compressed without a coding", frameOf(gzipSync(proto), 1)),
  ...framed("gzip that is none", frameOf(proto, 1), { "grpc-encoding": "gzip" }),
  ...framed("gzip that breaks off", frameOf(gzipSync(proto).subarray(0, -4), 1), { "grpc-encoding": "gzip" }),
  ...framed("gzip that is too long", frameOf(gzipSync(protoOf(50_000)), 1), { "grpc-encoding": "gzip" }),
  ...framed("long reply, gzip accepted", frameOf(proto), { "x-do": "big", "grpc-accept-encoding": "gzip" }),
  ...framed("long reply, brotli accepted", frameOf(proto), { "x-do": "big", "grpc-accept-encoding": "br" }),
  ...framed("short reply, gzip accepted", frameOf(proto), { "grpc-accept-encoding": "gzip" }),
  ...framed("nothing", new Uint8Array()),
  ...framed("half a prefix", frameOf(proto).subarray(0, 3)),
  ...framed("frame that breaks off", frameOf(proto).subarray(0, -1)),
  ...framed("frame longer than it says", frameOf(proto, 0, proto.length - 1)),
  ...framed("bytes behind the message", Buffer.concat([frameOf(proto), Buffer.from([0, 0])])),
  ...framed("two messages", Buffer.concat([frameOf(proto), frameOf(proto)])),
  ...framed("flags that are not known", frameOf(proto, 4)),
  ...framed("no protobuf", frameOf(Buffer.from([255, 255]))),
  ...framed("as long as can be", frameOf(protoOf(messageBytesMax))),
  ...framed("too long", frameOf(protoOf(messageBytesMax + 1))),
  ...framed("5 GiB by its prefix", frameOf(proto, 0, 2 ** 32 - 1)),
  ["gRPC without a format", { body: frameOf(proto), headers: { "content-type": "application/grpc" } }],
  [
    "gRPC-Web without a format",
    { body: frameOf(proto), headers: { "content-type": "application/grpc-web" } },
  ],
  ["gRPC JSON", { body: frameOf(Buffer.from(json)), headers: { "content-type": "application/grpc+json" } }],
  [
    "gRPC JSON that is none",
    { body: frameOf(Buffer.from("{")), headers: { "content-type": "application/grpc+json" } },
  ],
  [
    "gRPC-Web JSON",
    { body: frameOf(Buffer.from(json)), headers: { "content-type": "application/grpc-web+json" } },
  ],
  [
    "gRPC-Web text",
    { body: frameOf(proto).toString("base64"), headers: { "content-type": "application/grpc-web-text" } },
  ],
  ["GET", { method: "GET" }],
  ["PUT", { method: "PUT", headers: { "content-type": "application/json" } }],
  ["of a type that is not known", { body: "<a/>", headers: { "content-type": "text/xml" } }],
  ["of no type", { body: json }],
  ["of the type of a stream", { body: json, headers: { "content-type": "application/connect+json" } }],
  [
    "to a method that is not there",
    { body: json, path: `${path}s`, headers: { "content-type": "application/json" } },
  ],
  ["to two slashes", { body: json, path: `/${path}`, headers: { "content-type": "application/json" } }],
  ["with a query", { ...connectJson("")[1], path: `${path}?a=b` }],
];

interface Outcome {
  status: number;
  type?: string | undefined;
  /** Those that say something about the message, and those of the service. */
  headers: Headers;
  /** The message as it was sent, in base64; empty if there is none. */
  message: string;
  /** "ok", or the code of the error. */
  code: string;
  trailers: Headers;
}

interface Difference {
  readonly lane: Partial<Outcome>;
  readonly stock: Partial<Outcome>;
  readonly why: string;
}

/** A difference of Connect, and the same in the codes of gRPC and gRPC-Web. */
const refusedAs = (code: string, status: number): Partial<Outcome> => ({ code, status, message: "" });
const framedAs = (code: string): Partial<Outcome> => ({ code, status: 200, message: "" });
const inBoth = (name: string, difference: Difference) =>
  Object.fromEntries([`gRPC ${name}`, `gRPC-Web ${name}`].map((full) => [full, difference]));

const hasWords = { type: "application/json" };
const hasNoWords = { type: undefined, code: "none" };
const saysMore = (status: number, headers: Headers = {}): Difference => ({
  lane: { ...hasWords, status, headers },
  stock: { ...hasNoWords, status, headers: {} },
  why: "connect-node says nothing; every error of the lane is a google.rpc.Status that says what to do",
});
const mediaTypes = saysMore(415, {
  "accept-post":
    "application/json, application/proto, application/grpc, application/grpc-web, application/grpc-web-text",
});
const fault = "it is the caller who sent this, and nobody is to be woken up for it";

const differences: Readonly<Record<string, Difference>> = {
  "Connect JSON with another charset": mediaTypes,
  "Connect JSON with a parameter": mediaTypes,
  "Connect proto with a charset": mediaTypes,
  "of a type that is not known": mediaTypes,
  "of no type": mediaTypes,
  "of the type of a stream": mediaTypes,
  GET: saysMore(405, { allow: "POST, OPTIONS" }),
  PUT: saysMore(405, { allow: "POST, OPTIONS" }),
  "to a method that is not there": saysMore(404),
  "to two slashes": saysMore(404),
  "Connect JSON version 2": {
    lane: refusedAs("invalid_argument", 400),
    stock: { code: "ok" },
    why: "the protocol asks servers to reject versions that they do not know",
  },
  "Connect JSON gzip that breaks off": {
    lane: refusedAs("invalid_argument", 400),
    stock: refusedAs("internal", 500),
    why: fault,
  },
  "Connect JSON long reply, brotli accepted": {
    lane: { code: "ok" },
    stock: { code: "ok" },
    why: "brotli at its usual level costs many times what it saves: who accepts nothing else gets identity",
  },
  "Connect JSON long reply to gzip": {
    lane: { code: "ok" },
    stock: { code: "ok" },
    why: "a client that says nothing of what it accepts gets identity",
  },
  "Connect JSON that is not UTF-8": {
    lane: refusedAs("invalid_argument", 400),
    stock: { code: "ok" },
    why: "connect-node puts U+FFFD in the place of what the caller meant",
  },
  "Connect JSON nested deeply": {
    lane: refusedAs("invalid_argument", 400),
    stock: { code: "ok" },
    why: "what no message of anybody's can hold is not read to its end",
  },
  "Connect proto that is none": {
    lane: refusedAs("invalid_argument", 400),
    stock: refusedAs("internal", 500),
    why: fault,
  },
  "Connect proto with a string that is not UTF-8": {
    lane: refusedAs("invalid_argument", 400),
    stock: refusedAs("internal", 500),
    why: fault,
  },
  ...inBoth("compressed without a coding", { lane: framedAs("3"), stock: framedAs("13"), why: fault }),
  ...inBoth("gzip that breaks off", { lane: framedAs("3"), stock: framedAs("13"), why: fault }),
  ...inBoth("frame longer than it says", { lane: framedAs("3"), stock: framedAs("13"), why: fault }),
  ...inBoth("no protobuf", { lane: framedAs("3"), stock: framedAs("13"), why: fault }),
  ...inBoth("long reply, brotli accepted", {
    lane: { code: "0" },
    stock: { code: "0" },
    why: "as for Connect",
  }),
  ...inBoth("flags that are not known", {
    lane: framedAs("3"),
    stock: { code: "0" },
    why: "a flag changes what the message is; to read it as if it were not there is to guess",
  }),
  "gRPC without a format": {
    lane: { code: "0", type: "application/grpc" },
    stock: { code: "0", type: "application/grpc+proto" },
    why: "the client is answered in the type that it is known to read",
  },
  "gRPC-Web without a format": {
    lane: { code: "0", type: "application/grpc-web" },
    stock: { code: "0", type: "application/grpc-web+proto" },
    why: "the client is answered in the type that it is known to read",
  },
  "gRPC-Web text": {
    lane: { code: "0", type: "application/grpc-web-text" },
    stock: { ...hasNoWords, status: 415 },
    why: "connect-node does not speak it",
  },
};

describe.each(httpVersions)("over HTTP/%s the lane answers as connect-node", (version) => {
  it.each(cases)("%s", async (name, { path: target = path, ...rest }) => {
    const request = { path: target, ...rest };
    const lane = createWire({
      services: [bind(UserService, service)],
      interceptors: [interceptor],
      messageBytesMax,
    });
    const stock = connectNodeAdapter({
      routes: (router) => router.service(UserService, service),
      interceptors: [interceptor],
      readMaxBytes: messageBytesMax,
    });
    const ofLane = outcomeOf(await exchange(await listenBare(lane, version), version, request));
    const ofStock = outcomeOf(await exchange(await listenBare(stock, version), version, request));
    const difference = differences[name];
    if (!difference) return expect(ofLane).toEqual(ofStock);
    expect(ofLane).toMatchObject(difference.lane);
    expect(ofStock).toMatchObject(difference.stock);
    expect(ofLane).not.toEqual(ofStock);
  });
});

function outcomeOf(reply: RawReply): Outcome {
  const type = reply.headers["content-type"]?.toString();
  const headers = pick(reply.headers, /^(x-|trailer-|content-encoding|grpc-|accept-|www-|allow)/);
  const base = { status: reply.status, type, headers, trailers: pick(reply.trailers, /^(x-|www-)/) };
  if (type?.startsWith("application/grpc-web")) {
    const isText = type.startsWith("application/grpc-web-text");
    const body = isText ? Buffer.from(reply.body.toString(), "base64") : reply.body;
    const frames = framesOf(body, headers["grpc-encoding"]);
    const trailers = trailersOf(frames.find(({ flags }) => flags & 0x80)?.data ?? Buffer.alloc(0));
    const messages = frames.filter(({ flags }) => !(flags & 0x80)).map(({ data }) => data);
    if (!frames.some(({ flags }) => flags & 1)) delete headers["grpc-encoding"];
    return {
      ...base,
      message: Buffer.concat(messages).toString("base64"),
      code: trailers["grpc-status"] ?? "none",
      trailers: pick(trailers, /^(x-|www-)/),
    };
  }
  if (type?.startsWith("application/grpc")) {
    const frames = framesOf(reply.body, headers["grpc-encoding"]);
    const messages = frames.map(({ data }) => data);
    if (!frames.some(({ flags }) => flags & 1)) delete headers["grpc-encoding"];
    const code = reply.trailers["grpc-status"]?.toString() ?? "none";
    return { ...base, message: Buffer.concat(messages).toString("base64"), code };
  }
  const body = inflate(reply.body, headers["content-encoding"]);
  if (reply.status === 200) return { ...base, message: body.toString("base64"), code: "ok" };
  return { ...base, message: "", code: body.length > 0 ? JSON.parse(body.toString()).code : "none" };
}

function pick(fields: RawReply["headers"], names: RegExp): Headers {
  const picked = Object.entries(fields).filter(([name]) => names.test(name));
  return Object.fromEntries(picked.map(([name, value]) => [name, String(value)]));
}

function framesOf(body: Buffer, encoding: string | undefined): { flags: number; data: Buffer }[] {
  const frames = [];
  for (let at = 0; at < body.length; ) {
    const flags = body.readUInt8(at);
    const end = at + 5 + body.readUInt32BE(at + 1);
    const data = body.subarray(at + 5, end);
    frames.push({ flags, data: flags & 1 ? inflate(data, encoding) : data });
    at = end;
  }
  return frames;
}

function inflate(data: Buffer, encoding: string | undefined): Buffer {
  return encoding === "gzip" ? gunzipSync(data) : data;
}

function trailersOf(data: Buffer): Headers {
  const lines = data.toString().split("\r\n").filter(Boolean);
  return Object.fromEntries(lines.map((line) => line.split(/: ?(.*)/s) as [string, string]));
}
