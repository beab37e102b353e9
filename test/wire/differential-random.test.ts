import { brotliCompressSync, gzipSync } from "node:zlib";
import { fromJson, type JsonObject, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import fc, { type Arbitrary } from "fast-check";
import { expect, it } from "vitest";
import { AddOTPEmailRequestSchema } from "../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { rounds } from "../support/soak.ts";
import { type Comparison, doing, path, serveBoth, type Work } from "../support/wire/differential.ts";
import { frameOf, httpVersions, type RawRequest } from "../support/wire/exchange.ts";
import { messageBytesMax } from "../support/wire/read-request.ts";

// Like differential.test.ts, with random requests. To reproduce a failure, set COUNTERSIGN_SEED.

const requests = rounds(600, 20_000);
const seed = Number(process.env.COUNTERSIGN_SEED ?? (rounds(0, 1) === 0 ? 20_260_101 : Date.now() % 2 ** 31));

it.each(httpVersions)(
  `the unary engine answers ${requests} random requests over HTTP/%s like connect-node (seed ${seed})`,
  { timeout: rounds(60_000, 1_800_000) },
  async (version) => {
    const ask = await serveBoth(version);
    const property = fc.asyncProperty(requestOf(version === "2"), async (request) => {
      const comparison = await ask(request);
      expect(comparison.ofUnaryEngine, textOf(request, comparison)).toEqual(comparison.expected);
    });
    await fc.assert(property, { seed, numRuns: requests, endOnFailure: false });
  },
);

/** Describes a request, so that it can be sent by hand, and the difference. */
function textOf(
  { headers, body = "", chunked }: RawRequest,
  { ofConnectNode, differences }: Comparison,
): string {
  const bytes = Buffer.from(body);
  return `the unary engine and connect-node differ:
POST ${path}${chunked ? " (in chunks)" : ""}
${Object.entries(headers ?? {})
  .map(([name, value]) => `${name}: ${[value].flat().join(` | `)}`)
  .join("\n")}

${bytes.toString("base64")}  (base64 of ${JSON.stringify(bytes.toString("latin1"))})

connect-node: ${JSON.stringify(ofConnectNode)}
known differences: ${differences.join("; ") || "none"}
`;
}

const formats = ["json", "proto"] as const;
type Format = (typeof formats)[number];
type Protocol = "connect" | "grpc" | "grpc-web" | "grpc-web-text";

interface Kind {
  readonly protocol: Protocol;
  readonly format: Format;
  readonly type: string;
}

const kinds: readonly Kind[] = [
  ...formats.map((format): Kind => ({ protocol: "connect", format, type: `application/${format}` })),
  ...(["grpc", "grpc-web", "grpc-web-text"] as const).flatMap((protocol): Kind[] => [
    { protocol, format: "proto", type: `application/${protocol}` },
    { protocol, format: "proto", type: `application/${protocol}+proto` },
    { protocol, format: "json", type: `application/${protocol}+json` },
  ]),
];

function requestOf(isHttp2: boolean): Arbitrary<RawRequest> {
  return fc.constantFrom(...kinds).chain((kind) =>
    fc
      .record({
        type: often(8, fc.constant(kind.type), oddTypeOf(kind)),
        more: headersOf(kind, isHttp2),
        sent: kind.protocol === "connect" ? unaryBody(kind) : framedBody(kind),
        work,
        chunked: fc.boolean(),
      })
      .map(({ type, more, sent, work, chunked }) => ({
        path,
        headers: { ...more, ...sent.headers, ...doingInTime(work, more), "content-type": type },
        body: sent.body,
        chunked,
      })),
  );
}

/** Mostly `common`, and `rare` once in `times + 1` values. */
function often<A, B>(times: number, common: Arbitrary<A>, rare: Arbitrary<B>): Arbitrary<A | B> {
  return fc.oneof({ weight: times, arbitrary: common }, { weight: 1, arbitrary: rare });
}

function oddTypeOf({ type }: Kind): Arbitrary<string> {
  return fc.constantFrom(
    type.toUpperCase(),
    `${type}; charset=utf-8`,
    `${type};charset="UTF-8"`,
    `${type}; charset=latin1`,
    `${type}; x=y`,
    `${type};`,
    `${type}x`,
    `${type}+xml`,
    type.replace("application/", "text/"),
    "application/connect+json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
  );
}

type Sent = Record<string, string | string[]>;

const bytes = (max: number) => fc.uint8Array({ maxLength: max }).map((data) => Buffer.from(data));
/** A header value that is valid in all HTTP versions. */
const fieldValue = fc
  .string({
    unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
    maxLength: 40,
  })
  .map((value) => value.trim());

const binaryValue = fc.oneof(
  bytes(30).map((data) => data.toString("base64")),
  bytes(30).map((data) => data.toString("base64").replace(/=+$/, "")),
  bytes(30).map((data) => data.toString("base64url")),
  fieldValue,
);

/** Deadlines of 10 seconds or more, expired ones, and invalid ones. */
const connectTimeouts = fc.oneof(
  fc.integer({ min: 10_000, max: 2 ** 31 - 1 }).map(String),
  fc.constantFrom(
    "0",
    "00",
    "0010000",
    "-1",
    "1.5",
    "1e4",
    "+10000",
    "",
    "soon",
    "12345678901",
    "10000, 10000",
  ),
  fieldValue.filter((value) => !/^\d+$/.test(value)),
);
const grpcTimeouts = fc.oneof(
  fc
    .tuple(fc.integer({ min: 10_000, max: 99_999_999 }), fc.constantFrom("m", "S"))
    .map(([n, unit]) => (unit === "S" ? `${n % 100_000}S` : `${n}m`)),
  fc.constantFrom(
    "1H",
    "9M",
    "0m",
    "0n",
    "0H",
    "1",
    "S",
    "-1S",
    "1.5S",
    "1s",
    "1 S",
    "",
    "123456789m",
    "10S, 10S",
  ),
  fieldValue.filter((value) => !/^\d+[HMSmun]$/.test(value)),
);

/** Lists of codings, with and without weights. */
const accepted = fc.oneof(
  fc.constantFrom("gzip", "br", "identity", "gzip, br", "br, gzip", "zstd", "", "*", "deflate, gzip"),
  fc.constantFrom(
    "GZIP",
    "gzip;q=0",
    "gzip;q=0.5",
    "gzip; q=1",
    "br;q=1.0, gzip;q=0.5",
    "deflate ,  gzip",
    ",gzip,",
    "gzip,gzip",
  ),
  fieldValue,
);

/** Some of these headers, in lower or upper case, a few of them repeated. */
function headersOf({ protocol }: Kind, isHttp2: boolean): Arbitrary<Sent> {
  const isConnect = protocol === "connect";
  const known: Record<string, Arbitrary<string>> = {
    "connect-timeout-ms": connectTimeouts,
    "grpc-timeout": grpcTimeouts,
    "connect-protocol-version": often(3, fc.constant("1"), fc.constantFrom("", "2", "01", "one", "1, 1")),
    "accept-encoding": accepted,
    "grpc-accept-encoding": accepted,
    [isConnect ? "grpc-encoding" : "content-encoding"]: fc.constantFrom("gzip", "br", "identity", "zstd"),
    te: isHttp2 ? fc.constant("trailers") : fc.constantFrom("trailers", "gzip", ""),
    "x-bytes-bin": binaryValue,
    "x-more": fieldValue,
    "user-agent": fieldValue,
    accept: fc.constantFrom("*/*", "application/xml", ""),
    "x-user-agent": fieldValue,
    origin: fc.constantFrom("https://example.com", "null"),
  };
  const one = fc.constantFrom(...Object.keys(known)).chain((name) =>
    fc.record({
      name: often(3, fc.constant(name), fc.constant(name.toUpperCase())),
      values: often(
        8,
        known[name]!.map((value) => [value]),
        // Node's client refuses to send these headers twice.
        /^(user-agent|te|accept|origin|content-encoding)$/.test(name)
          ? known[name]!.map((value) => [value])
          : fc.tuple(known[name]!, known[name]!),
      ),
    }),
  );
  const unique = { selector: ({ name }: { name: string }) => name.toLowerCase(), maxLength: 5 };
  return fc
    .uniqueArray(one, unique)
    .map((fields) =>
      Object.fromEntries(fields.map(({ name, values }) => [name, values.length === 1 ? values[0]! : values])),
    );
}

const plane0 = fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code).toWellFormed());
const text = fc.oneof(fc.string({ maxLength: 20 }), fc.string({ unit: plane0, maxLength: 20 }));

/** A valid message, with any member of the oneof or none. */
const message = fc
  .record({
    userId: often(10, text, fc.constant("x".repeat(messageBytesMax - 10))),
    email: fc.option(
      fc
        .record({
          address: text,
          variant: fc.oneof(
            fc.constantFrom({}, { returnCode: {} }, { isVerified: true }, { sendCode: {} }),
            text.map((urlTemplate) => ({ sendCode: { urlTemplate } })),
          ),
        })
        .map(({ address, variant }) => ({ address, ...variant })),
    ),
  })
  .map((json) => fromJson(AddOTPEmailRequestSchema, json as JsonObject));

/** A valid message. */
const encoded: Record<Format, Arbitrary<Buffer>> = {
  json: message.map((value) => Buffer.from(toJsonString(AddOTPEmailRequestSchema, value))),
  proto: message.map((value) => Buffer.from(toBinary(AddOTPEmailRequestSchema, value))),
};

/** JSON that is a message, or almost one. */
const nearJson = fc
  .letrec<{ value: unknown; member: string; object: string }>((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      fc.constantFrom(
        "null",
        "true",
        "false",
        "0",
        "-1.5e3",
        "1e400",
        '""',
        '"a@x.io"',
        "[]",
        "{}",
        "undefined",
      ),
      text.map((value) => JSON.stringify(value)),
      tie("object"),
      fc.array(tie("value"), { maxLength: 3 }).map((items) => `[${items.join(",")}]`),
    ),
    member: fc
      .tuple(
        fc.constantFrom(
          "userId",
          "user_id",
          "email",
          "address",
          "sendCode",
          "send_code",
          "returnCode",
          "isVerified",
          "urlTemplate",
          "__proto__",
          "user\\u0049d",
          "x",
        ),
        tie("value"),
      )
      .map(([key, value]) => `"${key}": ${value}`),
    object: fc
      .array(tie("member") as Arbitrary<string>, { maxLength: 4 })
      .map((members) => `{${members.join(",")}}`),
  }))
  .object.map((json) => Buffer.from(json));

/** Bytes with random changes, deletions and insertions. */
function mutated(original: Arbitrary<Buffer>): Arbitrary<Buffer> {
  const change = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    cut: fc.integer({ min: 0, max: 3 }),
    put: bytes(3),
  });
  return fc.tuple(original, fc.array(change, { minLength: 1, maxLength: 3 })).map(([data, changes]) =>
    changes.reduce((data, { at, cut, put }) => {
      const start = Math.floor(at * data.length);
      return Buffer.concat([data.subarray(0, start), put, data.subarray(start + cut)]);
    }, data),
  );
}

/** Without the first byte of a surrogate pair: if an error of connect-node quotes half of one, it never answers over gRPC. */
function messageOf(format: Format): Arbitrary<Buffer> {
  const whole = encoded[format];
  const any = fc.oneof(
    { weight: 6, arbitrary: whole },
    { weight: 2, arbitrary: mutated(whole) },
    { weight: 1, arbitrary: bytes(40) },
    { weight: 1, arbitrary: encoded[format === "json" ? "proto" : "json"] },
    {
      weight: 1,
      arbitrary: fc
        .integer({ min: messageBytesMax - 2, max: messageBytesMax + 2 })
        .map((n) => Buffer.alloc(n, " ")),
    },
    { weight: format === "json" ? 6 : 0, arbitrary: nearJson },
  );
  return format === "json" ? any.map((data) => Buffer.from(data.map((byte) => Math.min(byte, 0xef)))) : any;
}

interface Compressed {
  readonly data: Buffer;
  /** The value of the header. */
  readonly encoding: string | undefined;
  readonly isCompressed: boolean;
}

/** Mostly uncompressed, sometimes compressed, a few incorrectly. */
function compressed(data: Arbitrary<Buffer>): Arbitrary<Compressed> {
  const gzipped = data.map((data) => gzipSync(data));
  const as = (data: Arbitrary<Buffer>, encoding: string | undefined, isCompressed: boolean) =>
    data.map((data): Compressed => ({ data, encoding, isCompressed }));
  return fc.oneof(
    { weight: 8, arbitrary: as(data, undefined, false) },
    { weight: 3, arbitrary: as(gzipped, "gzip", true) },
    {
      weight: 1,
      arbitrary: as(
        data.map((data) => brotliCompressSync(data)),
        "br",
        true,
      ),
    },
    { weight: 1, arbitrary: as(mutated(gzipped), "gzip", true) },
    {
      weight: 1,
      arbitrary: as(
        fc.tuple(gzipped, gzipped).map((parts) => Buffer.concat(parts)),
        "gzip",
        true,
      ),
    },
    { weight: 1, arbitrary: as(data, "gzip", false) },
    { weight: 1, arbitrary: as(data, "identity", false) },
    { weight: 1, arbitrary: as(gzipped, undefined, true) },
    { weight: 1, arbitrary: as(gzipped, "identity", true) },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom("zstd", "GZIP", "x-gzip", "gzip, gzip", "gzip,identity", "")
        .chain((encoding) => as(gzipped, encoding, true)),
    },
    {
      weight: 1,
      arbitrary: as(
        fc.integer({ min: 5_000, max: 100_000 }).map((n) => gzipSync(Buffer.alloc(n, 32))),
        "gzip",
        true,
      ),
    },
  );
}

interface Body {
  readonly headers: Sent;
  readonly body: Buffer;
}

function unaryBody({ format }: Kind): Arbitrary<Body> {
  return compressed(messageOf(format)).map(
    ({ data, encoding }): Body => ({
      headers: encoding === undefined ? {} : { "content-encoding": encoding },
      body: data,
    }),
  );
}

function framedBody({ protocol, format }: Kind): Arbitrary<Body> {
  const framed = compressed(messageOf(format)).chain(({ data, encoding, isCompressed }) =>
    fc
      .record({
        flags: often(
          12,
          fc.constant(isCompressed ? 1 : 0),
          fc.oneof(fc.constantFrom(0, 1, 2, 3, 0x80), fc.integer({ min: 0, max: 255 })),
        ),
        length: often(
          12,
          fc.constant(data.length),
          fc.oneof(
            fc.integer({ min: -3, max: 3 }).map((more) => Math.max(0, data.length + more)),
            fc.integer({ min: 0, max: 2 ** 32 - 1 }),
          ),
        ),
        extra: often(
          12,
          fc.constant(Buffer.alloc(0)),
          fc.oneof(
            bytes(8),
            encoded[format].map((data) => frameOf(data)),
            fc.constant(frameOf(Buffer.alloc(0))),
          ),
        ),
        cut: often(12, fc.constant(0), fc.integer({ min: 0, max: 10 })),
      })
      .map(({ flags, length, extra, cut }): Body => {
        const whole = Buffer.concat([frameOf(data, flags, length), extra]);
        return {
          headers: encoding === undefined ? {} : { "grpc-encoding": encoding },
          body: whole.subarray(0, Math.max(0, whole.length - cut)),
        };
      }),
  );
  return protocol === "grpc-web-text" ? framed.chain(inText) : framed;
}

/** Base64 in one or several pieces, a few of them corrupt. */
function inText({ headers, body }: Body): Arbitrary<Body> {
  const whole = fc.array(fc.nat(body.length), { maxLength: 4 }).map((cuts) => {
    const ends = [...cuts.sort((a, b) => a - b), body.length];
    return Buffer.from(
      ends.map((end, i) => body.subarray(ends[i - 1] ?? 0, end).toString("base64")).join(""),
    );
  });
  return often(8, whole, mutated(whole)).map((body) => ({ headers, body }));
}

const fields = fc.array(
  fc.tuple(
    fc.constantFrom("x-a", "x-b", "X-C", "x-d-bin", "set-cookie", "www-authenticate", "x-seen"),
    // Joining an empty value with others leaves a trailing space, which HTTP/2 doesn't allow.
    fieldValue.filter((value) => value !== ""),
  ),
  { maxLength: 4 },
);
const codes = Object.values(Code).filter((code) => typeof code === "number");

const work: Arbitrary<Work> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  { weight: 3, arbitrary: fc.record({ headers: fields, trailers: fields }) },
  {
    weight: 4,
    arbitrary: fc.record({
      headers: fields,
      trailers: fields,
      error: fc.record(
        {
          code: fc.constantFrom(...codes),
          message: text,
          metadata: fc.dictionary(fc.constantFrom("x-a", "x-seen", "x-e-bin"), fieldValue),
          retrySeconds: fc.nat(100),
        },
        { requiredKeys: ["code", "message"] },
      ),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ crash: true }) },
  { weight: 1, arbitrary: fc.constant({ wait: true }) },
  { weight: 2, arbitrary: fc.record({ headers: fields, replyLength: fc.integer({ min: 900, max: 9_000 }) }) },
);

/** Gives a method that waits for its deadline a short one. */
function doingInTime(work: Work, sent: Sent): Sent {
  if (!work.wait) return { ...doing(work) };
  const names = Object.keys(sent).filter((name) => /timeout/i.test(name));
  for (const name of names) delete sent[name];
  return { ...doing(work), "connect-timeout-ms": "50", "grpc-timeout": "50m" };
}
