import { brotliCompressSync, gzipSync } from "node:zlib";
import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { AddOTPEmailRequestSchema } from "../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { differences } from "../support/wire/differences.ts";
import { doing, path, serveBoth } from "../support/wire/differential.ts";
import { frameOf, httpVersions, type RawRequest } from "../support/wire/exchange.ts";
import { messageBytesMax } from "../support/wire/read-request.ts";

const input = create(AddOTPEmailRequestSchema, { userId: "ü", email: { address: "a@x.io" } });
const json = toJsonString(AddOTPEmailRequestSchema, input);
const proto = toBinary(AddOTPEmailRequestSchema, input);
/** A message of this length in bytes. */
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
/** A gRPC and a gRPC-Web case with the same body. */
const framed = (name: string, body: Uint8Array = frameOf(proto), headers: Headers = {}): Case[] => [
  [`gRPC ${name}`, { body, headers: { "content-type": "application/grpc+proto", ...headers } }],
  [`gRPC-Web ${name}`, { body, headers: { "content-type": "application/grpc-web+proto", ...headers } }],
];

const fail = doing({
  error: {
    code: Code.AlreadyExists,
    message: "Grüße",
    metadata: { "x-seen": "by the error" },
    retrySeconds: 1,
  },
});
const crash = doing({ crash: true });
const unauthenticated = doing({
  error: { code: Code.Unauthenticated, message: "who?", metadata: { "www-authenticate": "Bearer" } },
});
const big = doing({ replyLength: 5_000 });
const longFail = doing({
  error: { code: Code.ResourceExhausted, message: "x".repeat(2_000), retrySeconds: 1 },
});

const br = { "content-encoding": "br" };
const grpcBr = { "grpc-encoding": "br" };
const notUtf8 = Buffer.from([...Buffer.from('{"userId":"'), 0xff, 0x22, 0x7d]);
const nested = `{"x":${"[".repeat(500)}${"]".repeat(500)}}`;

const cases: Case[] = [
  connectJson("message"),
  connectJson("with a charset", json, { "content-type": "application/json; charset=utf-8" }),
  connectJson("with a charset in upper case", json, { "content-type": "Application/JSON;charset=UTF-8" }),
  connectJson("with a charset in quotes", json, { "content-type": 'application/json; charset="utf-8"' }),
  connectJson("with another charset", json, { "content-type": "application/json; charset=latin1" }),
  connectJson("with a parameter", json, { "content-type": "application/json; a=b" }),
  connectJson("in proto spelling", '{"user_id":"u"}'),
  connectJson("empty message", "{}"),
  connectJson("unknown fields", '{"userId":"u","isVerified":true,"x":[{}]}'),
  connectJson("version 1", json, { "connect-protocol-version": "1" }),
  connectJson("version 2", json, { "connect-protocol-version": "2" }),
  connectJson("metadata", json, { "x-bytes-bin": "AAEC" }),
  connectJson("deadline", json, { "connect-timeout-ms": "10000" }),
  connectJson("expired deadline", json, { "connect-timeout-ms": "0" }),
  connectJson("invalid deadline", json, { "connect-timeout-ms": "soon" }),
  connectJson("deadline of 11 digits", json, { "connect-timeout-ms": "12345678901" }),
  connectJson("error", json, fail),
  connectJson("content type set by the method", json, doing({ headers: [["content-type", "text/html"]] })),
  connectJson("unexpected error", json, crash),
  connectJson("error that asks for a token", json, unauthenticated),
  connectJson("gzip", gzipSync(json), { "content-encoding": "gzip" }),
  connectJson("identity", json, { "content-encoding": "identity" }),
  connectJson("empty coding", json, { "content-encoding": "" }),
  connectJson("brotli", brotliCompressSync(json), { "content-encoding": "br" }),
  connectJson("truncated brotli", brotliCompressSync(json).subarray(0, -4), {
    "content-encoding": "br",
  }),
  connectJson("invalid brotli", json, { "content-encoding": "br" }),
  connectJson("brotli of maximum length", brotliCompressSync(jsonOf(messageBytesMax)), br),
  connectJson("brotli that is too long", brotliCompressSync(jsonOf(messageBytesMax + 1)), br),
  connectJson("brotli of a duplicate key", brotliCompressSync('{"userId":"a","userId":"b"}'), br),
  connectJson("brotli of a lone surrogate", brotliCompressSync('{"userId":"\\ud800"}'), br),
  connectJson("brotli that is not UTF-8", brotliCompressSync(notUtf8), br),
  connectJson("brotli of deeply nested JSON", brotliCompressSync(nested), br),
  connectJson("brotli, with a charset in quotes", brotliCompressSync(json), {
    ...br,
    "content-type": 'application/json; charset="utf-8"',
  }),
  connectJson("brotli, error", brotliCompressSync(json), { ...br, ...fail }),
  connectJson("brotli, long error", brotliCompressSync(json), { ...br, ...longFail }),
  connectJson("brotli, crash", brotliCompressSync(json), { ...br, ...crash }),
  connectJson("brotli, expired deadline", brotliCompressSync(json), {
    ...br,
    "connect-timeout-ms": "0",
  }),
  connectJson("long reply to brotli", brotliCompressSync(json), { ...br, ...big }),
  connectJson("long reply to brotli, gzip accepted", brotliCompressSync(json), {
    ...br,
    ...big,
    "accept-encoding": "gzip",
  }),
  connectJson("with a header of streams", json, { "connect-content-encoding": "gzip" }),
  connectJson("gzip, with a header of streams", gzipSync(json), {
    "content-encoding": "gzip",
    "connect-content-encoding": "br",
  }),
  connectJson("zstd", json, { "content-encoding": "zstd" }),
  connectJson("invalid gzip", json, { "content-encoding": "gzip" }),
  connectJson("truncated gzip", gzipSync(json).subarray(0, -4), { "content-encoding": "gzip" }),
  connectJson("gzip that is too long", gzipSync(jsonOf(50_000)), { "content-encoding": "gzip" }),
  connectJson("long reply, gzip accepted", json, { ...big, "accept-encoding": "gzip" }),
  connectJson("long reply, gzip accepted second", json, { ...big, "accept-encoding": "zstd, gzip" }),
  connectJson("long reply, brotli accepted", json, { ...big, "accept-encoding": "br" }),
  connectJson("long reply, gzip not accepted", json, { ...big, "accept-encoding": "gzip;q=0" }),
  connectJson("long reply to gzip", gzipSync(json), { ...big, "content-encoding": "gzip" }),
  connectJson("long reply, gzip accepted with a weight", json, { ...big, "accept-encoding": "gzip;q=0.5" }),
  connectJson("short reply, gzip accepted", json, { "accept-encoding": "gzip" }),
  connectJson("empty body", ""),
  connectJson("that is a list", "[]"),
  connectJson("that is null", "null"),
  connectJson("that is a string", '"u"'),
  connectJson("truncated", '{"userId":'),
  connectJson("with a number for a string", '{"userId":1}'),
  connectJson("with both names of a field", '{"userId":"a","user_id":"b"}'),
  connectJson("with a duplicate key", '{"userId":"a","userId":"b"}'),
  connectJson("with two members of a oneof", '{"email":{"sendCode":{},"isVerified":true}}'),
  connectJson("with a lone surrogate", '{"userId":"\\ud800"}'),
  connectJson("that is not UTF-8", notUtf8),
  connectJson("deeply nested", nested),
  connectJson("of maximum length", jsonOf(messageBytesMax)),
  connectJson("too long", jsonOf(messageBytesMax + 1)),
  ["Connect JSON too long, in chunks", { ...connectJson("", jsonOf(messageBytesMax + 1))[1], chunked: true }],
  connectProto("message"),
  connectProto("with a charset", proto, { "content-type": "application/proto; charset=utf-8" }),
  connectProto("empty body", new Uint8Array()),
  connectProto("empty body, gzip", new Uint8Array(), { "content-encoding": "gzip" }),
  connectProto("invalid", Buffer.from([255, 255])),
  connectProto("with a string that is not UTF-8", Buffer.from([0x0a, 2, 0xc3, 0x28])),
  connectProto("error", proto, fail),
  connectProto("brotli", brotliCompressSync(proto), br),
  connectProto("empty body, brotli", new Uint8Array(), br),
  connectProto("brotli of an invalid message", brotliCompressSync(Buffer.from([255, 255])), br),
  connectProto("brotli that is too long", brotliCompressSync(protoOf(messageBytesMax + 1)), br),
  connectProto("of maximum length", protoOf(messageBytesMax)),
  connectProto("too long", protoOf(messageBytesMax + 1)),
  ...framed("message"),
  ...framed("empty message", frameOf(new Uint8Array())),
  ...framed("metadata", frameOf(proto), { "x-bytes-bin": "AAEC" }),
  ...framed("deadline", frameOf(proto), { "grpc-timeout": "10S" }),
  ...framed("invalid deadline", frameOf(proto), { "grpc-timeout": "10" }),
  ...framed("deadline of 9 digits", frameOf(proto), { "grpc-timeout": "123456789m" }),
  ...framed("error", frameOf(proto), fail),
  ...framed("unexpected error", frameOf(proto), crash),
  ...framed("error that asks for a token", frameOf(proto), unauthenticated),
  ...framed("gzip", frameOf(gzipSync(proto), 1), { "grpc-encoding": "gzip" }),
  ...framed("brotli", frameOf(brotliCompressSync(proto), 1), { "grpc-encoding": "br" }),
  ...framed("truncated brotli", frameOf(brotliCompressSync(proto).subarray(0, -4), 1), grpcBr),
  ...framed("invalid brotli", frameOf(proto, 1), grpcBr),
  ...framed("brotli of maximum length", frameOf(brotliCompressSync(protoOf(messageBytesMax)), 1), grpcBr),
  ...framed("brotli that is too long", frameOf(brotliCompressSync(protoOf(messageBytesMax + 1)), 1), grpcBr),
  ...framed("brotli encoding, uncompressed message", frameOf(proto), grpcBr),
  ...framed("brotli, error", frameOf(brotliCompressSync(proto), 1), { ...grpcBr, ...fail }),
  ...framed("brotli, 5 GiB by its prefix", frameOf(proto, 1, 2 ** 32 - 1), grpcBr),
  ...framed("long reply to brotli", frameOf(brotliCompressSync(proto), 1), { ...grpcBr, ...big }),
  [
    "gRPC JSON, brotli",
    {
      body: frameOf(brotliCompressSync(json), 1),
      headers: { "content-type": "application/grpc+json", ...grpcBr },
    },
  ],
  [
    "gRPC-Web JSON, brotli of invalid UTF-8",
    {
      body: frameOf(brotliCompressSync(notUtf8), 1),
      headers: { "content-type": "application/grpc-web+json", ...grpcBr },
    },
  ],
  [
    "gRPC-Web text, brotli",
    {
      body: frameOf(brotliCompressSync(proto), 1).toString("base64"),
      headers: { "content-type": "application/grpc-web-text", ...grpcBr },
    },
  ],
  ...framed("gzip encoding, uncompressed message", frameOf(proto), { "grpc-encoding": "gzip" }),
  ...framed("zstd", frameOf(proto, 1), { "grpc-encoding": "zstd" }),
  ...framed("compressed without an encoding", frameOf(gzipSync(proto), 1)),
  ...framed("invalid gzip", frameOf(proto, 1), { "grpc-encoding": "gzip" }),
  ...framed("truncated gzip", frameOf(gzipSync(proto).subarray(0, -4), 1), { "grpc-encoding": "gzip" }),
  ...framed("gzip that is too long", frameOf(gzipSync(protoOf(50_000)), 1), { "grpc-encoding": "gzip" }),
  ...framed("long reply, gzip accepted", frameOf(proto), { ...big, "grpc-accept-encoding": "gzip" }),
  ...framed("long reply, brotli accepted", frameOf(proto), { ...big, "grpc-accept-encoding": "br" }),
  ...framed("short reply, gzip accepted", frameOf(proto), { "grpc-accept-encoding": "gzip" }),
  ...framed("empty body", new Uint8Array()),
  ...framed("truncated prefix", frameOf(proto).subarray(0, 3)),
  ...framed("a prefix without its message", frameOf(proto).subarray(0, 5)),
  ...framed("truncated frame", frameOf(proto).subarray(0, -1)),
  ...framed("frame longer than it says", frameOf(proto, 0, proto.length - 1)),
  ...framed("bytes after the message", Buffer.concat([frameOf(proto), Buffer.from([0, 0])])),
  ...framed("two messages", Buffer.concat([frameOf(proto), frameOf(proto)])),
  ...framed("unknown flags", frameOf(proto, 4)),
  ...framed("invalid protobuf", frameOf(Buffer.from([255, 255]))),
  ...framed(
    "an invalid message before a valid one",
    Buffer.concat([frameOf(Buffer.from([255])), frameOf(proto)]),
  ),
  ...framed("of maximum length", frameOf(protoOf(messageBytesMax))),
  ...framed("too long", frameOf(protoOf(messageBytesMax + 1))),
  ...framed("5 GiB by its prefix", frameOf(proto, 0, 2 ** 32 - 1)),
  ["gRPC without a format", { body: frameOf(proto), headers: { "content-type": "application/grpc" } }],
  [
    "gRPC-Web without a format",
    { body: frameOf(proto), headers: { "content-type": "application/grpc-web" } },
  ],
  ["gRPC JSON", { body: frameOf(Buffer.from(json)), headers: { "content-type": "application/grpc+json" } }],
  [
    "gRPC invalid JSON",
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
  [
    "gRPC-Web text in pieces",
    {
      body: [frameOf(proto).subarray(0, 4), frameOf(proto).subarray(4)]
        .map((piece) => piece.toString("base64"))
        .join(""),
      headers: { "content-type": "application/grpc-web-text+proto" },
    },
  ],
  [
    "gRPC-Web text that is not base64",
    { body: "AAAA*AAA", headers: { "content-type": "application/grpc-web-text" } },
  ],
  [
    "gRPC-Web text of maximum length, in pieces",
    {
      body: [0, 1, 2]
        .map((i) => frameOf(protoOf(messageBytesMax)).subarray(i * 1_400, (i + 1) * 1_400))
        .map((piece) => piece.toString("base64"))
        .join(""),
      headers: { "content-type": "application/grpc-web-text" },
    },
  ],
  ["GET", { method: "GET" }],
  ["PUT", { method: "PUT", headers: { "content-type": "application/json" } }],
  ["an unknown content type", { body: "<a/>", headers: { "content-type": "text/xml" } }],
  ["no content type", { body: json }],
  ["the content type of a stream", { body: json, headers: { "content-type": "application/connect+json" } }],
  ["an unknown method", { body: json, path: `${path}s`, headers: { "content-type": "application/json" } }],
  ["two slashes", { body: json, path: `/${path}`, headers: { "content-type": "application/json" } }],
  ["a query", { ...connectJson("")[1], path: `${path}?a=b` }],
];

const seen = new Set<string>();

describe.each(httpVersions)("the unary engine answers over HTTP/%s like connect-node:", (version) => {
  it.each(cases)("%s", async (_name, { path: target = path, ...rest }) => {
    const ask = await serveBoth(version);
    const { ofUnaryEngine, expected, differences } = await ask({ path: target, ...rest });
    expect(ofUnaryEngine).toEqual(expected);
    for (const name of differences) seen.add(name);
  });
});

it("every known difference occurs", () => {
  expect(Object.keys(differences).filter((name) => !seen.has(name))).toEqual([]);
});
