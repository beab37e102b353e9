import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { connect as http2Connect } from "node:http2";
import { gzipSync } from "node:zlib";
import { Code, ConnectError, type HandlerContext, type Interceptor } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import { createWire, peerAddress, protocolOf, type RefusedRequest } from "../../../src/wire/wire.ts";
import { refusalOf } from "../../support/errors.ts";
import { createGate } from "../../support/gate.ts";
import { bindEcho, type EchoImpl, EchoService, echoClient, type Text } from "../../support/wire/echo.ts";
import {
  exchange,
  frameOf,
  type HttpVersion,
  httpVersions,
  listenBare,
} from "../../support/wire/exchange.ts";

// Streams over RPC and Connect GET, which connect-node serves.

const rpc = "/test.echo.v1.EchoService";

const transports = {
  "Connect JSON over HTTP/1.1": (baseUrl: string) =>
    createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
  "Connect over HTTP/2": (baseUrl: string) =>
    createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: true }),
  "gRPC over HTTP/2": (baseUrl: string) => createGrpcTransport({ baseUrl }),
  "gRPC-Web over HTTP/1.1": (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
  "gRPC-Web over HTTP/2": (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "2" }),
};
const names = Object.keys(transports) as (keyof typeof transports)[];
const versionOf = (name: string): HttpVersion => (name.endsWith("2") ? "2" : "1.1");

interface Options {
  readonly implementation?: EchoImpl;
  readonly interceptors?: Interceptor[];
  readonly onRefused?: (refused: RefusedRequest) => void;
  readonly shutdownSignal?: AbortSignal;
}

const echo: EchoImpl = {
  read: (input: Text) => ({ text: input.text }),
  async *split(input: Text, context: HandlerContext) {
    context.responseTrailer.set("x-trailer", "at the end");
    for (const text of input.text) yield { text };
  },
  async join(input: AsyncIterable<Text>) {
    let text = "";
    for await (const part of input) text += part.text;
    return { text };
  },
  async *chat(input: AsyncIterable<Text>) {
    for await (const { text } of input) yield { text: text.toUpperCase() };
  },
};

async function serve(version: HttpVersion, { implementation = echo, ...options }: Options = {}) {
  const handler = createWire({
    services: [bindEcho(implementation)],
    messageBytesMax: 2_000,
    errorDomain: "wire.example",
    aliases: { "/other.Service/Divide": EchoService.method.split! },
    ...options,
  });
  const port = await listenBare(handler, version);
  return { port, origin: `http://127.0.0.1:${port}` };
}

async function* texts(...all: string[]) {
  for (const text of all) yield { text };
}

async function all(stream: AsyncIterable<Text>): Promise<string[]> {
  const read = [];
  for await (const { text } of stream) read.push(text);
  return read;
}

describe.each(names)("%s", (name) => {
  const version = versionOf(name);
  const client = (origin: string) => echoClient(transports[name](origin));

  it("carries streams of each kind", async () => {
    const { origin } = await serve(version);
    let trailer = new Headers();
    const onTrailer = (fields: Headers) => {
      trailer = fields;
    };
    expect(await all(client(origin).split({ text: "abc" }, { onTrailer }))).toEqual(["a", "b", "c"]);
    expect(trailer.get("x-trailer")).toBe("at the end");
    expect((await client(origin).join(texts("a", "b"))).text).toBe("ab");
    if (version === "2") expect(await all(client(origin).chat(texts("a", "b")))).toEqual(["A", "B"]);
    expect((await client(origin).read({ text: "u" })).text).toBe("u");
  });

  it("adds a reason to errors in the middle of a stream, and hides unexpected ones", async () => {
    const implementation: EchoImpl = {
      async *split({ text }: Text) {
        yield { text };
        if (text === "public") throw new ConnectError("as asked for", Code.Aborted);
        throw new Error("select * from secrets");
      },
    };
    const { origin } = await serve(version, { implementation });
    const known = await refusalOf(all(client(origin).split({ text: "public" })));
    expect(known).toMatchObject({ code: "Aborted", message: "as asked for", reason: "ABORTED" });
    const unexpected = await refusalOf(all(client(origin).split({ text: "secret" })));
    expect(unexpected).toMatchObject({ code: "Internal", message: "internal error", reason: "INTERNAL" });
    const missing = await refusalOf(client(origin).join(texts("a")));
    expect(missing).toMatchObject({ code: "Unimplemented", reason: "UNIMPLEMENTED" });
    for (const { domain } of [known, unexpected, missing]) expect(domain).toBe("wire.example");
  });

  it("adds a reason to the error of a reply that can't be encoded", async () => {
    const implementation: EchoImpl = {
      async *split() {
        yield {
          text: {
            toString() {
              throw new Error("select * from secrets");
            },
          } as never,
        };
      },
    };
    const { origin } = await serve(version, { implementation });
    const refusal = await refusalOf(all(client(origin).split({})));
    expect(refusal).toMatchObject({ code: "Internal", message: "internal error", reason: "INTERNAL" });
  });

  it("rejects a message of a stream that is too large", async () => {
    const { origin } = await serve(version);
    const refusal = await refusalOf(client(origin).join(texts("a", "x".repeat(3_000))));
    expect(refusal).toMatchObject({
      code: "ResourceExhausted",
      reason: "REQUEST_TOO_LARGE",
      domain: "wire.example",
    });
    expect((await client(origin).join(texts("a"))).text).toBe("a");
  });

  it("ends a stream at its deadline", async () => {
    const implementation: EchoImpl = {
      async *split(_input: Text, { signal }: HandlerContext) {
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        yield* [];
        throw signal.reason;
      },
    };
    const { origin } = await serve(version, { implementation });
    const refusal = await refusalOf(all(client(origin).split({}, { timeoutMs: 50 })));
    expect(refusal.code).toBe("DeadlineExceeded");
  });

  it("tells interceptors the protocol and the remote address", async () => {
    const seen: unknown[] = [];
    const see: Interceptor = (next) => (request) => {
      seen.push([protocolOf(request), request.contextValues.get(peerAddress), request.url]);
      return next(request);
    };
    const { origin } = await serve(version, { interceptors: [see] });
    await all(client(origin).split({ text: "abc" }));
    const protocol = name.split(/ /)[0]?.toLowerCase();
    expect(seen).toEqual([[protocol, "127.0.0.1", `${origin}${rpc}/Split`]]);
  });

  it("survives errors with headers of another reply", async () => {
    const metadata = {
      connection: "keep-alive",
      "transfer-encoding": "chunked",
      "content-length": "3",
      "x-kept": "1",
    };
    const implementation: EchoImpl = {
      async *split() {
        yield { text: "a" };
        throw new ConnectError("of another server", Code.Unavailable, metadata);
      },
    };
    const { origin } = await serve(version, { implementation });
    const refusal = await refusalOf(all(client(origin).split({})));
    expect([refusal.code, refusal.headers.get("x-kept")]).toEqual(["Unavailable", "1"]);
    expect((await refusalOf(all(client(origin).split({})))).code).toBe("Unavailable");
  });

  it("notices when a client disconnects in the middle of a stream", async () => {
    const gone = createGate();
    const implementation: EchoImpl = {
      ...echo,
      async *split(_input: Text, { signal }: HandlerContext) {
        signal.addEventListener("abort", gone.open);
        while (!signal.aborted) {
          yield { text: "again" };
          await new Promise((resolve) => setImmediate(resolve));
        }
      },
    };
    const { origin } = await serve(version, { implementation });
    const controller = new AbortController();
    const reading = (async () => {
      for await (const _ of client(origin).split({}, { signal: controller.signal })) controller.abort();
    })();
    expect((await refusalOf(reading)).code).toBe("Canceled");
    await gone.opened;
    expect((await client(origin).join(texts("a"))).text).toBe("a");
  });
});

describe("streams", () => {
  it("are served on an alias", async () => {
    const { port } = await serve("1.1");
    const headers = { "content-type": "application/connect+json" };
    const body = frameOf(Buffer.from('{"text":"ab"}'));
    const reply = await exchange(port, "1.1", { path: "/other.Service/Divide", headers, body });
    expect(reply.status).toBe(200);
    expect(reply.headers["cache-control"]).toBe("no-store");
    expect(reply.body.toString()).toContain('{"text":"b"}');
  });

  it.each([
    ["invalid JSON", "application/connect+json", frameOf(Buffer.from('{"text":secret}')), "invalid_argument"],
    [
      "an invalid field",
      "application/connect+json",
      frameOf(Buffer.from('{"text":{"a":"secret"}}')),
      "invalid_argument",
    ],
    ["invalid protobuf", "application/connect+proto", frameOf(Buffer.from([255])), "invalid_argument"],
    [
      "a truncated frame",
      "application/connect+json",
      frameOf(Buffer.from("{}")).subarray(0, 6),
      "invalid_argument",
    ],
    ["no message", "application/connect+json", Buffer.alloc(0), "unimplemented"],
    [
      "a prefix above the limit",
      "application/connect+json",
      frameOf(Buffer.from("{}"), 0, 2 ** 31),
      "resource_exhausted",
    ],
    [
      "a decompression bomb",
      "application/connect+json",
      frameOf(gzipSync(`{"text":"${"x".repeat(9_000)}"}`), 1),
      "resource_exhausted",
    ],
  ])("of %s are rejected without quoting it", async (_name, contentType, body, code) => {
    const { port } = await serve("1.1");
    const headers = { "content-type": contentType, "connect-content-encoding": "gzip" };
    const reply = await exchange(port, "1.1", { path: `${rpc}/Split`, headers, body });
    const end = JSON.parse(reply.body.subarray(5).toString());
    expect(end.error.code).toBe(code);
    expect(end.error.details[0].type).toBe("google.rpc.ErrorInfo");
    expect(JSON.stringify(end)).not.toContain("secret");
  });

  it.each([
    ["a duplicate key", '{"text":"a","text":"b"}'],
    ["a lone surrogate", '{"text":"\\ud800"}'],
    ["invalid UTF-8", Buffer.from([...Buffer.from('{"text":"'), 0xff, 0x22, 0x7d])],
    ["deep nesting", `{"x":${"[".repeat(500)}${"]".repeat(500)}}`],
    ["an invalid field", '{"text":1}'],
  ])("of JSON with %s are rejected like in the unary engine, and so is a GET", async (_name, json) => {
    const { port } = await serve("1.1");
    const data = Buffer.from(json);
    const split = await exchange(port, "1.1", {
      path: `${rpc}/Split`,
      headers: { "content-type": "application/connect+json" },
      body: frameOf(data),
    });
    const read = await exchange(port, "1.1", {
      method: "GET",
      path: `${rpc}/Read?encoding=json&base64=1&message=${data.toString("base64url")}`,
    });
    const unary = await exchange(port, "1.1", {
      path: `${rpc}/Read`,
      headers: { "content-type": "application/json" },
      body: data,
    });
    const refused = JSON.parse(unary.body.toString());
    expect(refused.code).toBe("invalid_argument");
    expect(JSON.parse(split.body.subarray(5).toString()).error).toMatchObject(refused);
    expect(JSON.parse(read.body.toString())).toMatchObject(refused);
  });

  it.each([
    ["GET", "application/connect+json", 405],
    ["POST", "application/json", 415],
    ["POST", "text/plain", 415],
    ["POST", "", 415],
  ])("by %s with content type %s are refused with %i", async (method, contentType, status) => {
    const { port } = await serve("1.1");
    const headers: Record<string, string> = contentType ? { "content-type": contentType } : {};
    const reply = await exchange(port, "1.1", { method, path: `${rpc}/Split`, headers });
    expect([reply.status, reply.headers["content-type"]]).toEqual([status, "application/json"]);
    expect(JSON.parse(reply.body.toString()).details[0].domain).toBe("wire.example");
  });

  it("in both directions are refused with 505 over HTTP/1.1", async () => {
    const { port } = await serve("1.1");
    const headers = { "content-type": "application/connect+json" };
    const reply = await exchange(port, "1.1", { path: `${rpc}/Chat`, headers });
    expect([reply.status, JSON.parse(reply.body.toString()).details[0].reason]).toEqual([
      505,
      "UNIMPLEMENTED",
    ]);
  });

  it("with a header that HTTP can't carry are an error", async () => {
    const implementation: EchoImpl = {
      async *split(_input: Text, { responseHeader }: HandlerContext) {
        responseHeader.set("x-bell", "\u0007");
        yield { text: "a" };
      },
    };
    const { port } = await serve("1.1", { implementation });
    const headers = { "content-type": "application/connect+json" };
    const reply = await exchange(port, "1.1", {
      path: `${rpc}/Split`,
      headers,
      body: frameOf(Buffer.from("{}")),
    });
    expect([reply.status, JSON.parse(reply.body.toString()).message]).toEqual([500, "internal error"]);
  });

  it("that end early don't wait for the rest of the request", async () => {
    const { port } = await serve("2");
    const headers = { "content-type": "application/grpc", te: "trailers" };
    const body = frameOf(Buffer.alloc(200_000));
    const reply = await exchange(port, "2", { path: `${rpc}/Join`, headers, body });
    expect(reply.trailers["grpc-status"]).toBe(String(Code.ResourceExhausted));
  });

  it.each(httpVersions)(
    "end at their deadline over HTTP/%s, even if the method ignores it",
    async (version) => {
      const implementation: EchoImpl = {
        async *split() {
          yield { text: "a" };
          await new Promise(() => {});
        },
        join: () => new Promise(() => {}),
      };
      const { port } = await serve(version, { implementation });
      const headers = { "content-type": "application/connect+json", "connect-timeout-ms": "50" };
      for (const method of ["Split", "Join"]) {
        const body = frameOf(Buffer.from("{}"));
        const reply = await exchange(port, version, { path: `${rpc}/${method}`, headers, body });
        expect(reply.body.toString()).toContain('"reason":"DEADLINE_EXCEEDED"');
      }
    },
  );

  it("ignore a deadline beyond the range of timers", async () => {
    const { port } = await serve("1.1");
    const headers = { "content-type": "application/connect+json", "connect-timeout-ms": "9999999999" };
    const body = frameOf(Buffer.from('{"text":"ab"}'));
    const reply = await exchange(port, "1.1", { path: `${rpc}/Split`, headers, body });
    expect(reply.body.toString()).toContain('{"text":"b"}');
  });
});

describe("Connect GET", () => {
  const get = (port: number, query: string, headers = {}) =>
    exchange(port, "1.1", { method: "GET", path: `${rpc}/Read?${query}`, headers });

  it("calls a method without side effects", async () => {
    const { origin } = await serve("1.1");
    const transport = createConnectTransport({ baseUrl: origin, httpVersion: "1.1", useHttpGet: true });
    expect((await echoClient(transport).read({ text: "ü" })).text).toBe("ü");
  });

  it("works with an invalid Host", async () => {
    const { port } = await serve("1.1");
    const query = `connect=v1&encoding=json&message=${encodeURIComponent('{"text":"u"}')}`;
    for (const host of ["[", "a b", "x:99999", "///"]) {
      expect((await get(port, query, { host })).body.toString()).toBe('{"text":"u"}');
    }
  });

  it.each([
    ["no encoding", "message={}", 415],
    ["an unknown encoding", "encoding=xml&message={}", 415],
    ["invalid JSON", "encoding=json&message=secret", 400],
    ["invalid protobuf", "encoding=proto&base64=1&message=_w", 400],
    ["a message that is too long", `encoding=json&message=%22${"x".repeat(3_000)}%22`, 429],
    ["an unknown compression", "encoding=json&compression=zstd&message={}", 501],
  ])("with %s is refused and reported", async (_name, query, status) => {
    const refused: RefusedRequest[] = [];
    const { port } = await serve("1.1", { onRefused: (request) => refused.push(request) });
    const reply = await get(port, query);
    const error = JSON.parse(reply.body.toString());
    expect([reply.status, reply.headers["content-type"]]).toEqual([status, "application/json"]);
    expect(error.details).toHaveLength(1);
    const [{ domain, value }] = error.details;
    expect(domain ?? Buffer.from(value, "base64").toString()).toContain("wire.example");
    expect(reply.body.toString()).not.toContain("secret");
    expect(refused.map(({ method, protocol }) => [method?.name, protocol])).toEqual([["Read", "connect"]]);
  });

  it("ends at its deadline, even if the method ignores it", async () => {
    const { port } = await serve("1.1", { implementation: { read: () => new Promise(() => {}) } });
    const reply = await get(port, "encoding=json&message={}", { "connect-timeout-ms": "50" });
    expect([reply.status, JSON.parse(reply.body.toString()).code]).toEqual([504, "deadline_exceeded"]);
  });

  it("of another method is refused with 405", async () => {
    const { port } = await serve("1.1");
    const reply = await exchange(port, "1.1", { method: "GET", path: `${rpc}/Join` });
    expect([reply.status, reply.headers.allow]).toEqual([405, "POST, OPTIONS"]);
    const options = await exchange(port, "1.1", { method: "OPTIONS", path: `${rpc}/Read` });
    expect(options.headers.allow).toBe("POST, GET, OPTIONS");
  });
});

it.each(httpVersions)("an unread stream ends when the client disconnects, over HTTP/%s", async (version) => {
  let made = 0;
  const ended = createGate();
  const { port } = await serve(version, {
    implementation: {
      async *split() {
        try {
          for (; ; made++) yield { text: "x".repeat(16_384) };
        } finally {
          ended.open();
        }
      },
    },
  });
  const disconnect = await openWithoutReading(port, version);
  // Wait until the server waits for the client.
  for (let before = -1; made !== before; await new Promise((resolve) => setTimeout(resolve, 200)))
    before = made;
  disconnect();
  await ended.opened;
});

/** Calls Split and reads nothing. Returns a function that disconnects. */
async function openWithoutReading(port: number, version: HttpVersion): Promise<() => void> {
  const body = frameOf(Buffer.from("{}"));
  const headers = { "content-type": "application/connect+json", "content-length": String(body.length) };
  if (version === "1.1") {
    const request = httpRequest({ port, host: "127.0.0.1", method: "POST", path: `${rpc}/Split`, headers });
    request.end(body);
    await once(request, "response");
    return () => request.destroy();
  }
  const session = http2Connect(`http://127.0.0.1:${port}`);
  const stream = session.request({ ...headers, ":method": "POST", ":path": `${rpc}/Split` });
  stream.end(body);
  await once(stream, "response");
  return () => session.destroy();
}
