import { once } from "node:events";
import { connect as http2Connect } from "node:http2";
import { connect, type Socket } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type HandlerContext, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  AddOTPEmailRequestSchema,
  UserService,
} from "../../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { ErrorInfoSchema, RetryInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { bind, createWire, peerAddress, type WireOptions } from "../../../src/wire/wire.ts";
import { transport } from "../../support/app.ts";
import { refusalOf } from "../../support/errors.ts";
import { createGate } from "../../support/gate.ts";
import { bindEcho } from "../../support/wire/echo.ts";
import {
  exchange,
  frameOf,
  type HttpVersion,
  httpVersions,
  listenBare,
} from "../../support/wire/exchange.ts";

const path = "/countersign.user.v3alpha.UserService/AddOTPEmail";
const proto = toBinary(
  AddOTPEmailRequestSchema,
  create(AddOTPEmailRequestSchema, { userId: "u", email: { address: "a@x.io" } }),
);

interface Options extends Partial<WireOptions> {
  readonly work?: (context: HandlerContext) => unknown;
}

/** Serves an echo service with a plain Node server, without the checks of src/http. */
async function serve(version: HttpVersion, { work, ...options }: Options = {}) {
  const handler = createWire({
    services: [
      bind(UserService, {
        async addOTPEmail({ userId }, context) {
          await work?.(context);
          return { otpEmailId: userId };
        },
      }),
    ],
    ...options,
  });
  const port = await listenBare(handler, version);
  return { port, origin: `http://127.0.0.1:${port}` };
}

const json = { "content-type": "application/json" };

function open(port: number): Socket & { said(): Promise<string> } {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk;
  });
  return Object.assign(socket, {
    async said() {
      await once(socket, "close");
      return text;
    },
  });
}

describe("a deadline", () => {
  it("starts with the headers, however slowly the body follows", async () => {
    const { port } = await serve("1.1");
    const socket = open(port);
    socket.write(
      `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnect-timeout-ms: 50\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n`,
    );
    const said = await socket.said();
    expect(said).toMatch(/^HTTP\/1\.1 504 /);
    expect(said).toContain("DEADLINE_EXCEEDED");
  });

  it("starts with the headers over HTTP/2", async () => {
    const { port } = await serve("2");
    const session = http2Connect(`http://127.0.0.1:${port}`);
    onTestFinished(() => session.destroy());
    const headers = {
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      "grpc-timeout": "50m",
    };
    const stream = session.request(headers);
    stream.write(frameOf(proto).subarray(0, 7));
    const trailers = once(stream, "trailers");
    stream.resume();
    expect((await trailers)[0]).toMatchObject({ "grpc-status": "4" });
  });

  async function statusWith(contentType: string, name: string, value: string, work: Options["work"]) {
    const { port } = await serve("2", { work });
    const body = contentType === "application/json" ? "{}" : frameOf(proto);
    const headers = { "content-type": contentType, [name]: value };
    const reply = await exchange(port, "2", { path, body, headers });
    return reply.trailers["grpc-status"] ?? reply.status;
  }

  it.each([
    ["application/json", "connect-timeout-ms", "0", 504],
    ["application/grpc", "grpc-timeout", "0m", "4"],
  ])("that has passed prevents the call: %s", async (contentType, name, value, status) => {
    let calls = 0;
    expect(await statusWith(contentType, name, value, () => calls++)).toBe(status);
    expect(calls).toBe(0);
  });

  it.each([
    ["application/json", "connect-timeout-ms", "9999999999", 200],
    ["application/grpc", "grpc-timeout", "99999999H", "0"],
  ])("beyond the range of timers is ignored: %s", async (contentType, name, value, status) => {
    const work = () => new Promise((resolve) => setTimeout(resolve, 20));
    expect(await statusWith(contentType, name, value, work)).toBe(status);
  });
});

describe("a shutdown", () => {
  it.each(["Connect JSON", "Connect proto", "gRPC", "gRPC-Web", "REST"] as const)(
    "ends calls that ignore it: %s",
    async (protocol) => {
      const shutdown = new AbortController();
      const running = createGate();
      let aborted = false;
      const work = ({ signal }: HandlerContext) => {
        signal.addEventListener("abort", () => {
          aborted = true;
        });
        running.open();
        return new Promise(() => {});
      };
      const version = protocol === "gRPC" || protocol === "Connect proto" ? "2" : "1.1";
      const { origin } = await serve(version, { work, shutdownSignal: shutdown.signal });
      const call = refusalOf(
        createClient(UserService, transport(origin, protocol)).addOTPEmail({ userId: "u" }),
      );
      await running.opened;
      shutdown.abort();
      expect(await call).toMatchObject({ code: "Unavailable", reason: "UNAVAILABLE" });
      expect(aborted).toBe(true);
    },
  );
});

describe("concurrent calls", () => {
  it("listen for the shutdown without a warning", async () => {
    const warnings: Error[] = [];
    const warn = (warning: Error) => warnings.push(warning);
    process.on("warning", warn);
    onTestFinished(() => void process.off("warning", warn));
    let calls = 0;
    const together = createGate();
    const work = () => {
      if (++calls === 30) together.open();
      return together.opened;
    };
    const { origin } = await serve("2", { work, shutdownSignal: new AbortController().signal });
    const client = createClient(UserService, transport(origin, "gRPC"));
    await Promise.all(Array.from({ length: 30 }, () => client.addOTPEmail({ userId: "u" })));
    // Node emits warnings in the next tick.
    await new Promise((resolve) => setImmediate(resolve));
    expect(warnings).toEqual([]);
  });
});

describe("a service", () => {
  it("keeps its `this`, and answers UNIMPLEMENTED for missing methods", async () => {
    class Service {
      readonly #id = "own";
      addOTPEmail() {
        return { otpEmailId: this.#id };
      }
    }
    const services = [bind(UserService, new Service())];
    const { origin } = await serve("2", { services });
    const client = createClient(UserService, transport(origin, "gRPC"));
    expect((await client.addOTPEmail({})).otpEmailId).toBe("own");
    expect(await refusalOf(client.verifyOTPEmail({}))).toMatchObject({
      code: "Unimplemented",
      reason: "UNIMPLEMENTED",
    });
  });

  it("is rejected if two methods have the same path, or an alias has no method", () => {
    const services = [bind(UserService, {})];
    expect(() => createWire({ services: [...services, ...services] })).toThrow(/AddOTPEmail is served twice/);
    const aliases = { [path]: UserService.method.verifyOTPEmail };
    expect(() => createWire({ services, aliases })).toThrow(/is the path of two methods/);
    const other = { "/a.B/C": UserService.method.addOTPEmail };
    expect(() => createWire({ services: [bindEcho({})], aliases: other })).toThrow(/is not served/);
  });
});

describe.each(httpVersions)("interceptors over HTTP/%s", (version) => {
  it("see the URL and the remote address", async () => {
    const seen: unknown[] = [];
    const see: Interceptor = (next) => (request) => {
      seen.push([
        request.url,
        request.contextValues.get(peerAddress),
        request.requestMethod,
        request.method.name,
      ]);
      return next(request);
    };
    const { port, origin } = await serve(version, { interceptors: [see] });
    await exchange(port, version, { path: `${path}?a=b`, body: "{}", headers: json });
    expect(seen).toEqual([[`${origin}${path}?a=b`, "127.0.0.1", "POST", "AddOTPEmail"]]);
  });
});

describe("T32 an invalid Host", () => {
  it.each(["[", "a b", "x:99999", "x:y", "a@b", "/", "[::g]", "x?y#z"])("%s is harmless", async (host) => {
    const urls: URL[] = [];
    const see: Interceptor = (next) => (request) => {
      urls.push(new URL(request.url));
      return next(request);
    };
    const { port } = await serve("1.1", { interceptors: [see] });
    const reply = await exchange(port, "1.1", { path, body: "{}", headers: { ...json, host } });
    expect(reply.status).toBe(200);
    expect(urls.map(({ host: name, pathname }) => [name, pathname])).toEqual([["localhost", path]]);
  });
});

describe.each(httpVersions)("a reply over HTTP/%s", (version) => {
  it("keeps all cookies", async () => {
    const work = ({ responseHeader }: HandlerContext) => {
      responseHeader.append("set-cookie", "a=1; expires=Mon, 23 Nov 2026 09:00:00 GMT");
      responseHeader.append("set-cookie", "b=2");
    };
    const { port } = await serve(version, { work });
    const reply = await exchange(port, version, { path, body: "{}", headers: json });
    expect(reply.headers["set-cookie"]).toEqual(["a=1; expires=Mon, 23 Nov 2026 09:00:00 GMT", "b=2"]);
  });

  it.each(["application/json", "application/grpc", "application/grpc-web"])(
    "with a header that HTTP can't carry is replaced by an error: %s",
    async (contentType) => {
      const { port } = await serve(version, {
        work: ({ responseHeader }) => {
          responseHeader.set("x-secret", "secret");
          responseHeader.set("x-bell", "a\u0007");
        },
      });
      const body = contentType === "application/json" ? "{}" : frameOf(proto);
      const reply = await exchange(port, version, { path, body, headers: { "content-type": contentType } });
      expect(reply.headers["x-secret"]).toBeUndefined();
      const text = `${reply.body}${JSON.stringify(reply.trailers)}`;
      expect(text).toMatch(/internal( |%20)error/);
    },
  );

  it.each(["application/json", "application/grpc", "application/grpc-web"])(
    "doesn't forward the headers of another server's reply: %s",
    async (contentType) => {
      const metadata = {
        connection: "keep-alive",
        "content-encoding": "gzip",
        "content-length": "3",
        te: "gzip",
        "transfer-encoding": "chunked",
        upgrade: "h2c",
        "x-kept": "yes",
      };
      const work = ({ responseHeader, responseTrailer }: HandlerContext) => {
        responseHeader.set("keep-alive", "timeout=5");
        responseTrailer.set("connection", "close");
        throw new ConnectError("of another server", Code.Unavailable, metadata);
      };
      const { port } = await serve(version, { work });
      const body = contentType === "application/json" ? "{}" : frameOf(proto);
      for (let i = 0; i < 2; i++) {
        const reply = await exchange(port, version, { path, body, headers: { "content-type": contentType } });
        const text = `${reply.body}${JSON.stringify([reply.headers, reply.trailers])}`;
        expect(text).toMatch(/of( |%20)another( |%20)server/);
        expect(text).toMatch(/x-kept"?: ?"?yes/);
      }
    },
  );

  it("with an error that can't be encoded is an internal error", async () => {
    const { port } = await serve(version, {
      work: () => {
        throw new ConnectError("half \ud800", Code.Aborted);
      },
    });
    const headers = { "content-type": "application/grpc" };
    const reply = await exchange(port, version, { path, body: frameOf(proto), headers });
    expect(reply.trailers["grpc-status"]).toBe("13");
  });

  it("is sent even if onRefused throws", async () => {
    const onRefused = () => {
      throw new Error("disk full");
    };
    const { port } = await serve(version, { onRefused });
    const reply = await exchange(port, version, { path: "/nothing", body: "{}", headers: json });
    expect(reply.status).toBe(500);
    await expect(exchange(port, version, { path, body: "{", headers: json })).rejects.toThrow();
  });
});

describe("an error", () => {
  const work = () => {
    const error = new ConnectError("later", Code.ResourceExhausted, {
      "www-authenticate": 'Bearer realm="x"',
    });
    error.details.push({ desc: RetryInfoSchema, value: { retryDelay: { seconds: 2n, nanos: 1 } } });
    throw error;
  };

  it.each([
    [path, {}],
    ["/v3alpha/users/u/otp_email", {}],
  ])("has headers for when to retry and how to authenticate: %s", async (target, more) => {
    const { port } = await serve("1.1", { work });
    const reply = await exchange(port, "1.1", { path: target, body: "{}", headers: { ...json, ...more } });
    expect(reply.status).toBe(429);
    expect(reply.headers).toMatchObject({
      "retry-after": "3",
      "www-authenticate": 'Bearer realm="x"',
      "cache-control": "no-store",
    });
    expect(reply.body.toString()).toContain("RESOURCE_EXHAUSTED");
  });

  it("keeps its own domain, and gets that of the service if it has none", async () => {
    const domains = [];
    for (const domain of ["own.example", "", undefined]) {
      const fail = () => {
        const value = domain === undefined ? undefined : { reason: "OWN", domain };
        throw new ConnectError("no", Code.Aborted, undefined, value && [{ desc: ErrorInfoSchema, value }]);
      };
      const { origin } = await serve("2", { work: fail, errorDomain: "wire.example" });
      const client = createClient(UserService, createGrpcTransport({ baseUrl: origin }));
      domains.push((await refusalOf(client.addOTPEmail({}))).domain);
    }
    expect(domains).toEqual(["own.example", "wire.example", "wire.example"]);
  });

  it.each([
    ["gRPC", (baseUrl: string) => createGrpcTransport({ baseUrl })],
    ["gRPC-Web", (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "2" })],
  ])("has metadata for how to authenticate: %s", async (_name, make) => {
    const { origin } = await serve("2", { work });
    const refusal = await refusalOf(createClient(UserService, make(origin)).addOTPEmail({}));
    expect(refusal).toMatchObject({ code: "ResourceExhausted", reason: "RESOURCE_EXHAUSTED", retryAfter: 2 });
    expect(refusal.headers.get("www-authenticate")).toBe('Bearer realm="x"');
  });

  it.each([
    ["application/grpc-web", false],
    ["application/grpc-web+proto", false],
    ["application/grpc-web-text", true],
  ])("for an unknown method is UNIMPLEMENTED to %s", async (contentType, isText) => {
    const { port } = await serve("1.1");
    const reply = await exchange(port, "1.1", {
      path: "/no.Such/Method",
      headers: { "content-type": contentType },
    });
    const body = isText ? Buffer.from(reply.body.toString(), "base64") : reply.body;
    expect([reply.status, reply.headers["content-type"], body[0]]).toEqual([200, contentType, 0x80]);
    expect(body.toString()).toContain("grpc-status: 12\r\n");
  });
});

describe("a target in absolute form", () => {
  it.each([`http://x${path}`, `http://x:99999${path}`, `http://[${path}`])(
    "is not found: %s",
    async (target) => {
      const { port } = await serve("1.1");
      const reply = await exchange(port, "1.1", { path: target, body: "{}", headers: json });
      expect([reply.status, reply.body.toString()]).toEqual([
        404,
        expect.stringContaining("ROUTE_NOT_FOUND"),
      ]);
    },
  );
});

describe("gRPC-Web text", () => {
  const post = async (body: string) => {
    const { port } = await serve("1.1");
    const reply = await exchange(port, "1.1", {
      path,
      body,
      headers: { "content-type": "application/grpc-web-text" },
    });
    return Buffer.from(reply.body.toString(), "base64").toString();
  };
  const frame = frameOf(proto);

  it.each([
    ["in one piece", frame.toString("base64")],
    [
      "in pieces with their own padding",
      frame.subarray(0, 4).toString("base64") + frame.subarray(4).toString("base64"),
    ],
  ])("is read %s", async (_name, body) => {
    expect(await post(body)).toContain("grpc-status: 0\r\n");
  });

  it.each([
    ["in the URL alphabet", `${frame.toString("base64").slice(0, -4)}-_-_`],
    ["without padding", "AAAAAAA"],
    ["with padding in the middle", "AA=AAAAA"],
    ["with white space", "AAAA AAAA"],
  ])("%s is rejected", async (_name, body) => {
    expect(await post(body)).toContain("grpc-status: 3\r\n");
  });
});

describe("a message that is too large", () => {
  const messageBytesMax = 1_000;
  const prefix = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0]);

  it.each([
    ["application/grpc", "2", prefix],
    ["application/grpc-web", "1.1", prefix],
    ["application/grpc-web-text", "1.1", prefix.toString("base64").slice(0, 8)],
  ] as const)("T33 is rejected by its prefix, before it arrives: %s", async (contentType, version, start) => {
    const { port } = await serve(version, { messageBytesMax });
    if (version === "2") {
      const session = http2Connect(`http://127.0.0.1:${port}`);
      onTestFinished(() => session.destroy());
      const stream = session.request({ ":method": "POST", ":path": path, "content-type": contentType });
      stream.write(start);
      const trailers = once(stream, "trailers");
      const closed = once(stream, "close");
      stream.resume();
      expect((await trailers)[0]).toMatchObject({ "grpc-status": "8" });
      await closed;
      expect(stream.rstCode).toBe(0);
      return;
    }
    const socket = open(port);
    socket.write(
      `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: ${contentType}\r\ntransfer-encoding: chunked\r\n\r\n8\r\n`,
    );
    socket.write(start);
    const said = await socket.said();
    expect(said).toMatch(/connection: close/i);
    const body = said.split("\r\n\r\n").slice(1).join("\r\n\r\n");
    const text = contentType.includes("text") ? Buffer.from(body, "base64").toString() : body;
    expect(text).toContain("grpc-status: 8");
  });

  it.each([
    ["application/json", (bytes: number) => JSON.stringify({ userId: "x".repeat(bytes - 13) })],
    ["application/proto", (bytes: number) => messageOf(bytes)],
    ["application/grpc-web", (bytes: number) => frameOf(messageOf(bytes))],
    ["application/grpc-web-text", (bytes: number) => frameOf(messageOf(bytes)).toString("base64")],
  ])("is one byte above the limit in %s", async (contentType, bodyOf) => {
    const { port } = await serve("1.1", { messageBytesMax });
    const headers = { "content-type": contentType };
    const textOf = async (bytes: number, chunked: boolean) => {
      const reply = await exchange(port, "1.1", { path, body: bodyOf(bytes), headers, chunked });
      const isText = contentType.includes("text");
      return isText ? Buffer.from(reply.body.toString(), "base64").toString() : reply.body.toString();
    };
    for (const chunked of [true, false]) {
      expect(await textOf(messageBytesMax, chunked)).not.toMatch(
        /REQUEST_TOO_LARGE|grpc-status: 8|too_large|exhausted/,
      );
      expect(await textOf(messageBytesMax + 1, chunked)).toMatch(/grpc-status: 8|resource_exhausted/);
    }
  });

  it.each(httpVersions)(
    "T33 is answered over HTTP/%s while megabytes of it are still arriving",
    async (version) => {
      const { port } = await serve(version, { messageBytesMax });
      const body = Buffer.alloc(4 << 20, "x");
      for (const chunked of [true, false]) {
        const reply = await exchange(port, version, { path, body, headers: json, chunked });
        expect(reply.status).toBe(429);
      }
    },
  );

  function messageOf(bytes: number): Uint8Array {
    return toBinary(
      AddOTPEmailRequestSchema,
      create(AddOTPEmailRequestSchema, { userId: "x".repeat(bytes - 3) }),
    );
  }
});

describe("an HTTP/1.1 connection", () => {
  it("stays open after refusing a request without a body or with a short one", async () => {
    const { port } = await serve("1.1");
    const socket = open(port);
    socket.write("GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n");
    socket.write("POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nabcde");
    socket.write(`PUT ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}`);
    socket.write(
      `POST ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`,
    );
    const statuses = [...(await socket.said()).matchAll(/HTTP\/1\.1 ([0-9]+)/g)].map(([, status]) => status);
    expect(statuses).toEqual(["404", "404", "405", "200"]);
  });

  it("closes after refusing a request with an endless body", async () => {
    const { port } = await serve("1.1");
    const socket = open(port);
    socket.write("POST /nothing HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n");
    expect(await socket.said()).toMatch(/^HTTP\/1\.1 404 .*connection: close/is);
  });
});

describe("HTTP/2 clients that reset streams at any time", () => {
  it("don't crash the process", async () => {
    const { port, origin } = await serve("2", {
      work: () => new Promise((resolve) => setTimeout(resolve, 2)),
    });
    const session = http2Connect(`http://127.0.0.1:${port}`);
    session.on("error", () => {});
    onTestFinished(() => session.destroy());
    const closed: Promise<unknown>[] = [];
    for (let i = 0; i < 200; i++) {
      const contentType = i % 2 ? "application/grpc" : "application/json";
      const stream = session.request({ ":method": "POST", ":path": path, "content-type": contentType });
      stream.on("error", () => {});
      stream.resume();
      closed.push(once(stream, "close"));
      if (i % 3) stream.end(i % 2 ? frameOf(proto) : "{}");
      setTimeout(() => stream.close(8), i % 7);
    }
    await Promise.allSettled(closed);
    expect(
      (await createClient(UserService, createGrpcTransport({ baseUrl: origin })).addOTPEmail({ userId: "u" }))
        .otpEmailId,
    ).toBe("u");
  });
});
