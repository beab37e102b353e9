import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { fromJson, type JsonObject, type JsonValue, type Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type Interceptor } from "@connectrpc/connect";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  bind,
  createWire,
  protocolOf,
  type RefusedRequest,
  type WireOptions,
} from "../../../src/wire/wire.ts";
import { createGate } from "../../support/gate.ts";
import { exchange, httpVersions, listenBare } from "../../support/wire/exchange.ts";
import { jsonOf, type MethodShape, serviceWithRules } from "../../support/wire/rest.ts";

type Version = (typeof httpVersions)[number];

interface Options extends MethodShape, Partial<WireOptions> {
  readonly rule?: JsonObject;
  readonly version?: Version;
}

/** Serves a method that streams messages, given as proto JSON. Returns the port. */
async function serve(
  work: (input: JsonValue, context: HandlerContext) => AsyncIterable<JsonValue>,
  { rule = { get: "/a" }, version = "1.1", input, output, ...options }: Options = {},
): Promise<number> {
  const service = serviceWithRules({ One: rule }, { input, output, serverStreaming: true });
  const method = service.methods[0]!;
  async function* one(message: Message, context: HandlerContext) {
    for await (const json of work(jsonOf(method.input, message), context)) {
      yield fromJson(method.output, json);
    }
  }
  return await listenBare(
    createWire({ services: [bind(service, { one } as never)], errorDomain: "wire.example", ...options }),
    version,
  );
}

const get = { method: "GET", path: "/a" };

async function* two(): AsyncGenerator<JsonValue> {
  yield { stringValue: "a\nb" };
  yield { int64Value: "2" };
}

function linesOf(body: Buffer): JsonValue[] {
  const lines = body.toString().split("\n");
  expect(lines.pop()).toBe("");
  return lines.map((line) => JSON.parse(line));
}

const unavailable = { code: 14, details: [{ reason: "UNAVAILABLE" }] };

describe.each(httpVersions)("a stream over REST and HTTP/%s", (version) => {
  it("sends one line per message", async () => {
    const port = await serve(two, { version });
    const { status, headers, body } = await exchange(port, version, get);
    expect(status).toBe(200);
    expect(headers["content-type"]).toBe("application/x-ndjson");
    expect(headers["cache-control"]).toBe("no-store");
    expect(body.toString()).toBe('{"stringValue":"a\\nb"}\n{"int64Value":"2"}\n');
  });

  it("sends a single field of each message if the rule says so", async () => {
    const port = await serve(two, { version, rule: { get: "/a", responseBody: "string_value" } });
    expect(linesOf((await exchange(port, version, get)).body)).toEqual(["a\nb", ""]);
  });

  it("can be empty", async () => {
    const port = await serve(async function* () {}, { version });
    const { status, headers, body } = await exchange(port, version, get);
    expect(status).toBe(200);
    expect(headers["content-type"]).toBe("application/x-ndjson");
    expect(body.length).toBe(0);
  });

  it("binds the request by the rule", async () => {
    const rule = { post: "/{string_value}", body: "nested" };
    const port = await serve(
      async function* (input) {
        yield input;
      },
      { version, rule },
    );
    const { body } = await exchange(port, version, {
      path: "/x?int32_value=1",
      headers: { "content-type": "application/json" },
      body: '{"boolValue":true}',
    });
    expect(linesOf(body)).toEqual([{ stringValue: "x", int32Value: 1, nested: { boolValue: true } }]);
  });

  it("answers with an ordinary error if it fails before the first message", async () => {
    // biome-ignore lint/correctness/useYield: it throws first
    const port = await serve(async function* () {
      throw new ConnectError("there is none", Code.NotFound);
    });
    const { status, headers, body } = await exchange(port, "1.1", get);
    expect(status).toBe(404);
    expect(headers["content-type"]).toBe("application/json");
    expect(JSON.parse(body.toString())).toMatchObject({ code: 5, message: "there is none" });
  });

  it("sends an error after the first message as the last line", async () => {
    const port = await serve(
      async function* () {
        yield {};
        throw new ConnectError("gone", Code.DataLoss);
      },
      { version },
    );
    const { status, body } = await exchange(port, version, get);
    expect(status).toBe(200);
    const info = { reason: "DATA_LOSS", domain: "wire.example" };
    expect(linesOf(body)).toEqual([
      {},
      {
        error: {
          code: 15,
          message: "gone",
          details: [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", ...info }],
        },
      },
    ]);
  });

  it("ends with UNAVAILABLE on shutdown, even if the method ignores its signal", async () => {
    const stop = new AbortController();
    const port = await serve(
      async function* () {
        yield {};
        stop.abort();
        await new Promise(() => {});
      },
      { version, shutdownSignal: stop.signal },
    );
    expect(linesOf((await exchange(port, version, get)).body)).toMatchObject([{}, { error: unavailable }]);
  });

  it("answers HEAD like GET, and runs the method only up to the first message", async () => {
    const ended = createGate();
    const port = await serve(
      async function* (_input, { responseHeader }) {
        responseHeader.set("x-id", "1");
        try {
          for (;;) yield {};
        } finally {
          ended.open();
        }
      },
      { version },
    );
    const { status, headers, body } = await exchange(port, version, { ...get, method: "HEAD" });
    expect(status).toBe(200);
    expect(headers).toMatchObject({ "content-type": "application/x-ndjson", "x-id": "1" });
    expect(body.length).toBe(0);
    await ended.opened;
  });

  it("stops when the client disconnects", async () => {
    const aborted = createGate();
    const ended = createGate();
    const port = await serve(
      async function* (_input, { signal }) {
        signal.addEventListener("abort", aborted.open);
        try {
          yield {};
          await aborted.opened;
          yield {};
        } finally {
          ended.open();
        }
      },
      { version },
    );
    await readStartAndLeave(port, version);
    await aborted.opened;
    await ended.opened;
  });

  it("produces no more messages than the client reads", async () => {
    const total = 2000;
    let made = 0;
    const port = await serve(
      async function* () {
        for (; made < total; made++) yield { stringValue: "x".repeat(16_384) };
      },
      { version },
    );
    const client = await openWithoutReading(port, version);
    // Wait until it stops. A server without backpressure would produce all of them.
    for (let before = -1; made !== before; await new Promise((resolve) => setTimeout(resolve, 200)))
      before = made;
    expect(made).toBeGreaterThan(0);
    expect(made).toBeLessThan(total / 2);
    expect(await client.readAll()).toBe(total);
  });

  it("sends the bytes of google.api.HttpBody messages with the type of the first", async () => {
    const port = await serve(
      async function* (): AsyncGenerator<JsonObject> {
        yield { contentType: "text/csv", data: btoa("a,b\n") };
        yield { contentType: "text/plain" };
        yield { data: btoa("1,2\n") };
      },
      { version, output: ".google.api.HttpBody" },
    );
    const { headers, body } = await exchange(port, version, get);
    expect(headers["content-type"]).toBe("text/csv");
    expect(body.toString()).toBe("a,b\n1,2\n");
  });

  it("aborts a stream of google.api.HttpBody on an error", async () => {
    const port = await serve(
      async function* () {
        yield { data: btoa("half") };
        throw new ConnectError("gone", Code.DataLoss);
      },
      { version, output: ".google.api.HttpBody" },
    );
    await expect(exchange(port, version, get)).rejects.toThrow();
  });
});

describe("a stream over REST", () => {
  it("passes through interceptors as a stream, request and response", async () => {
    const seen: unknown[] = [];
    const watch: Interceptor = (next) => async (request) => {
      seen.push([protocolOf(request), request.stream, request.method.name, request.requestMethod]);
      const response = await next(request);
      if (!response.stream) return response;
      async function* watched(messages: AsyncIterable<Message>) {
        for await (const message of messages) {
          seen.push(message.$typeName);
          yield message;
        }
      }
      response.header.set("x-watched", "yes");
      return { ...response, message: watched(response.message) };
    };
    const port = await serve(two, { interceptors: [watch] });
    const { headers, body } = await exchange(port, "1.1", get);
    expect(linesOf(body)).toHaveLength(2);
    expect(headers["x-watched"]).toBe("yes");
    const type = "transcoding.vectors.v1.Scalars";
    expect(seen).toEqual([["rest", true, "One", "GET"], type, type]);
  });

  it("can be refused by interceptors with a status", async () => {
    const refuse: Interceptor = () => async () => {
      throw new ConnectError("no", Code.Unauthenticated, { "www-authenticate": "Bearer" });
    };
    const port = await serve(two, { interceptors: [refuse] });
    const { status, headers } = await exchange(port, "1.1", get);
    expect(status).toBe(401);
    expect(headers["www-authenticate"]).toBe("Bearer");
  });

  it("reports an unreadable request, and does not call the method", async () => {
    const refused: RefusedRequest[] = [];
    let isCalled = false;
    const port = await serve(
      async function* () {
        isCalled = true;
        yield {};
      },
      { onRefused: (one) => refused.push(one) },
    );
    const { status } = await exchange(port, "1.1", { ...get, path: "/a?none=1" });
    expect(status).toBe(400);
    expect(refused).toMatchObject([
      { method: { name: "One" }, protocol: "rest", error: { code: Code.InvalidArgument } },
    ]);
    expect(isCalled).toBe(false);
  });

  it("hides unexpected errors", async () => {
    const port = await serve(async function* () {
      yield {};
      throw new Error("the secret");
    });
    const { body } = await exchange(port, "1.1", get);
    expect(body.toString()).not.toContain("secret");
    expect(linesOf(body)).toMatchObject([{}, { error: { code: 13, message: "internal error" } }]);
  });

  it("answers 503 on shutdown before the first message", async () => {
    const stop = new AbortController();
    const port = await serve(
      async function* () {
        stop.abort();
        await new Promise(() => {});
      },
      { shutdownSignal: stop.signal },
    );
    const { status, body } = await exchange(port, "1.1", get);
    expect(status).toBe(503);
    expect(JSON.parse(body.toString())).toMatchObject(unavailable);
  });

  it("answers with an error if a header can't be sent", async () => {
    const port = await serve(
      async function* () {
        yield { contentType: "a/b\r\nx-evil: 1" };
      },
      { output: ".google.api.HttpBody" },
    );
    const { status, headers } = await exchange(port, "1.1", get);
    expect(status).toBe(500);
    expect(headers["content-type"]).toBe("application/json");
    expect(headers["x-evil"]).toBeUndefined();
  });

  it("sends 20,000 messages without a warning", async () => {
    const warnings: unknown[] = [];
    const warn = (warning: unknown) => warnings.push(warning);
    process.on("warning", warn);
    onTestFinished(() => void process.off("warning", warn));
    const port = await serve(async function* () {
      for (let i = 0; i < 20_000; i++) yield {};
    });
    expect(linesOf((await exchange(port, "1.1", get)).body)).toHaveLength(20_000);
    expect(warnings).toEqual([]);
  });
});

const head = "GET /a HTTP/1.1\r\nhost: service\r\n\r\n";

async function readStartAndLeave(port: number, version: Version): Promise<void> {
  if (version === "1.1") {
    const socket = await openSocket(port);
    socket.write(head);
    await once(socket, "data");
    socket.destroy();
    return;
  }
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  onTestFinished(() => session.destroy());
  const stream = session.request({ ":path": "/a" });
  stream.on("error", () => {});
  await once(stream, "data");
  stream.close(8);
}

async function openSocket(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  return socket;
}

/** Sends the request, and reads nothing until `readAll` is called, which returns the number of lines. */
async function openWithoutReading(port: number, version: Version): Promise<{ readAll(): Promise<number> }> {
  const count = async (chunks: AsyncIterable<Buffer>) => {
    let lines = 0;
    for await (const chunk of chunks) lines += chunk.toString("latin1").split("}\n").length - 1;
    return lines;
  };
  if (version === "1.1") {
    const socket = await openSocket(port);
    socket.write(head.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n"));
    return { readAll: () => count(socket) };
  }
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  onTestFinished(() => session.destroy());
  const stream = session.request({ ":path": "/a" });
  await once(stream, "response");
  return { readAll: () => count(stream) };
}
