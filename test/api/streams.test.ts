import { connect as http2Connect } from "node:http2";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { describe, expect, it, onTestFinished } from "vitest";
import { admit } from "../../src/api/admit.ts";
import { logCalls } from "../../src/api/log-calls.ts";
import type { Rule } from "../../src/auth/permissions.ts";
import type { Principal } from "../../src/auth/principal.ts";
import { createLog } from "../../src/lib/log.ts";
import { Refusal } from "../../src/lib/refusal.ts";
import { createWire, protocolOf } from "../../src/wire/wire.ts";
import { refusalOf } from "../support/errors.ts";
import { bindEcho, type EchoImpl, echoClient, type Text } from "../support/wire/echo.ts";
import { exchange, frameOf, type HttpVersion, listenBare } from "../support/wire/exchange.ts";

// The interceptors with streams. The token is the subject; "reader" has user.read in the organization o.

const transports = {
  connect: (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "2" }),
  grpc: (baseUrl: string) => createGrpcTransport({ baseUrl }),
  "grpc-web": (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "2" }),
};
const protocols = Object.keys(transports) as (keyof typeof transports)[];

const rule: Rule = { anyOf: ["user.read"], target: "organization", self: false };
const reads = { rule, parse };

function principalOf(subject: string): Principal {
  const grants = new Map(subject === "reader" ? [["user.read", new Set(["o"])] as const] : []);
  return { subject, issuer: "urn:test", grants } as Principal;
}

/** Serves streams for callers with user.read in the organization that the text names. */
async function serve(implementation: EchoImpl, version: HttpVersion = "2") {
  const lines: Record<string, unknown>[] = [];
  const handler = createWire({
    services: [bindEcho(implementation)],
    interceptors: [
      logCalls({
        log: createLog("info", { write: (line) => void lines.push(JSON.parse(line)) }),
        isStorageUnavailable: () => false,
        protocolOf,
      }),
      admit({
        admissions: { "EchoService.Split": reads, "EchoService.Join": reads, "EchoService.Chat": reads },
        verifier: {
          async authenticate(token: string) {
            if (token === "bad") throw new Refusal("TOKEN_INVALID", "bad");
            return principalOf(token);
          },
        } as never,
        findUser: async () => undefined,
        clientAddressOf: () => undefined,
        callerOf: () => ({ isStopped: false }),
      }),
    ],
  });
  const port = await listenBare(handler, version);
  return { port, origin: `http://127.0.0.1:${port}`, lines };
}

function parse({ text }: Text) {
  if (text === "") throw new Refusal("REQUEST_INVALID", "text is missing", { field: "text" });
  return { orgId: text };
}

const as = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

async function read(stream: AsyncIterable<Text>): Promise<string[]> {
  const texts = [];
  for await (const { text } of stream) texts.push(text);
  return texts;
}

async function* texts(...all: string[]) {
  for (const text of all) yield { text };
}

/** An implementation that counts its calls. */
function counted() {
  const ran = { times: 0 };
  const implementation: EchoImpl = {
    async *split({ text }: Text) {
      ran.times += 1;
      yield { text };
    },
    async join() {
      ran.times += 1;
      return {};
    },
    // biome-ignore lint/correctness/useYield: the test refuses the call
    async *chat() {
      ran.times += 1;
    },
  };
  return { ran, implementation };
}

describe.each(protocols)("a server stream over %s", (protocol) => {
  const client = (origin: string) => echoClient(transports[protocol](origin));

  it("is authenticated, then validated, then authorized, all before the method runs", async () => {
    const { ran, implementation } = counted();
    const { origin, lines } = await serve(implementation);
    const call = (token: string, text: string) => read(client(origin).split({ text }, as(token)));
    const anonymous = read(client(origin).split({ text: "" }));
    expect(await refusalOf(anonymous)).toMatchObject({ reason: "TOKEN_MISSING" });
    expect(await refusalOf(call("bad", ""))).toMatchObject({ reason: "TOKEN_INVALID" });
    expect(await refusalOf(call("stranger", ""))).toMatchObject({
      reason: "REQUEST_INVALID",
      fields: ["text"],
    });
    expect(await refusalOf(call("stranger", "o"))).toMatchObject({ reason: "PERMISSION_MISSING" });
    expect(await refusalOf(call("reader", "p"))).toMatchObject({ reason: "PERMISSION_MISSING" });
    expect(ran.times).toBe(0);
    expect(await call("reader", "o")).toEqual(["o"]);
    expect(lines.map(({ code }) => code)).toEqual([
      "Unauthenticated",
      "Unauthenticated",
      "InvalidArgument",
      "PermissionDenied",
      "PermissionDenied",
      "OK",
    ]);
    expect(lines.at(-1)).toMatchObject({ method: "EchoService.Split", protocol, subject: "reader" });
  });

  it("that fails is logged with one line, and an unexpected error reveals only its id", async () => {
    const { origin, lines } = await serve({
      async *split(_input: Text, { requestHeader }: HandlerContext) {
        yield { text: "first" };
        if (requestHeader.has("x-abort")) throw new ConnectError("aborted", Code.Aborted);
        throw new Error("select * from secrets");
      },
    });
    const abort = { headers: { ...as("reader").headers, "x-abort": "yes" } };
    const aborted = await refusalOf(read(client(origin).split({ text: "o" }, abort)));
    expect(aborted).toMatchObject({ code: "Aborted", message: "aborted" });
    const unexpected = await refusalOf(read(client(origin).split({ text: "o" }, as("reader"))));
    const id = /^internal error, logged as ([0-9a-f-]{36})$/.exec(unexpected.message)?.[1];
    expect(lines).toMatchObject([
      { msg: "call", code: "Aborted" },
      { msg: "a call failed unexpectedly", correlationId: id },
      { msg: "call", code: "Internal", reason: "INTERNAL" },
    ]);
  });

  it.each<[string, EchoImpl["split"]]>([
    [
      "returns",
      async function* (_input: Text, { signal }: HandlerContext) {
        yield { text: "first" };
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
    ],
    [
      "waits forever",
      async function* () {
        yield { text: "first" };
        await new Promise(() => {});
      },
    ],
    [
      "never stops sending",
      async function* () {
        for (;;) {
          yield { text: "x".repeat(10_000) };
          await new Promise((resolve) => setImmediate(resolve));
        }
      },
    ],
  ])("is logged as canceled if the client disconnects and the method %s", async (_name, split) => {
    const { origin, lines } = await serve({ split });
    const leave = new AbortController();
    const options = { ...as("reader"), signal: leave.signal };
    const stream = client(origin).split({ text: "o" }, options)[Symbol.asyncIterator]();
    await stream.next();
    leave.abort();
    await expect.poll(() => lines.length).toBe(1);
    expect(lines).toMatchObject([{ msg: "call", code: "Canceled", subject: "reader" }]);
  });
});

describe("a client stream", () => {
  it.each(["join", "chat"] as const)("is refused if the method is not public: %s", async (name) => {
    const { ran, implementation } = counted();
    const { origin, lines } = await serve(implementation);
    const client = echoClient(createGrpcTransport({ baseUrl: origin }));
    const call =
      name === "join"
        ? client.join(texts("o", "p"), as("reader"))
        : read(client.chat(texts("o", "p"), as("reader")));
    expect(await refusalOf(call)).toMatchObject({ code: "Internal", reason: "INTERNAL" });
    expect(ran.times).toBe(0);
    expect(lines.filter(({ msg }) => msg === "call")).toMatchObject([{ code: "Internal" }]);
  });
});

describe("a server stream", () => {
  const path = "/test.echo.v1.EchoService/Split";
  const headers = { "content-type": "application/connect+json", ...as("reader").headers };
  const message = frameOf(Buffer.from('{"text":"o"}'));

  it.each([
    ["no message", Buffer.alloc(0), "unimplemented"],
    ["two messages", Buffer.concat([message, message]), "unimplemented"],
    ["an invalid message", frameOf(Buffer.from("{")), "invalid_argument"],
    ["half a message", message.subarray(0, 9), "invalid_argument"],
  ])("with %s is refused before the method runs", async (_name, body, code) => {
    const { ran, implementation } = counted();
    const { port, lines } = await serve(implementation, "1.1");
    const reply = await exchange(port, "1.1", { path, headers, body });
    expect(JSON.parse(reply.body.subarray(5).toString()).error.code).toBe(code);
    expect(ran.times).toBe(0);
    expect(lines).toHaveLength(1);
  });

  it.each([
    ["returns", ({ signal }: HandlerContext) => aborted(signal)],
    ["waits forever", () => new Promise(() => {})],
  ])("ends at its deadline if the method %s", async (_name, wait) => {
    const { port, lines } = await serve({
      async *split({ text }: Text, context: HandlerContext) {
        yield { text };
        await wait(context);
      },
    });
    const late = { ...headers, "connect-timeout-ms": "100" };
    const reply = await exchange(port, "2", { path, headers: late, body: message });
    const text = reply.body.toString();
    expect(JSON.parse(text.slice(text.indexOf('{"error"'))).error).toMatchObject({
      code: "deadline_exceeded",
      details: [{ debug: { reason: "DEADLINE_EXCEEDED" } }],
    });
    expect(lines).toMatchObject([{ msg: "call", code: "DeadlineExceeded" }]);
  });

  it("that is not read is logged when the connection breaks", async () => {
    const { origin, lines } = await serve({
      async *split() {
        for (;;) yield { text: "x".repeat(10_000) };
      },
    });
    const session = http2Connect(origin);
    session.on("error", () => {});
    onTestFinished(() => session.destroy());
    const stream = session.request({ ...headers, ":method": "POST", ":path": path }).on("error", () => {});
    stream.end(message);
    await new Promise((resolve) => stream.once("response", resolve));
    session.destroy();
    await expect.poll(() => lines.length).toBe(1);
    expect(lines).toMatchObject([{ code: "Canceled" }]);
  });
});

function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => signal.addEventListener("abort", resolve));
}
