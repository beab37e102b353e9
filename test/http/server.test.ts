import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { describe, expect, test } from "vitest";
import { listen } from "../../src/http/server.ts";
import { createGate } from "../support/gate.ts";
import {
  endHeaders,
  endStream,
  frame,
  getBlock,
  parseFrames,
  preface,
  settings,
  types,
} from "../support/http/frames.ts";
import {
  begin,
  open,
  openHttp2,
  parseAnswer,
  send,
  start,
  tls,
  transports,
  untilClosed,
  untilReceived,
} from "../support/http/requests.ts";

/** Returns the request as JSON. */
const echo = async (
  request: AsyncIterable<Buffer> & { method?: string; url?: string; httpVersion: string },
) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  return JSON.stringify({ method: request.method, url: request.url, version: request.httpVersion, body });
};

describe.each(transports)("$name", (transport) => {
  const options = transport.isTls ? { tls } : {};

  test("passes requests to the handler and its replies to the client", async () => {
    const server = await start({
      ...options,
      handler: (request, response) => {
        echo(request).then((body) => response.end(body));
      },
    });
    const answer = await send(server, transport, {
      method: "POST",
      path: "/a?b=c",
      body: "d".repeat(100_000),
    });
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toEqual({
      method: "POST",
      url: "/a?b=c",
      version: transport.isHttp2 ? "2.0" : "1.1",
      body: "d".repeat(100_000),
    });
    expect(answer.headers.server).toBeUndefined();
    expect(answer.headers["x-powered-by"]).toBeUndefined();
  });

  test("answers concurrent requests", async () => {
    const server = await start(options);
    const answers = await Promise.all(Array.from({ length: 50 }, () => send(server, transport)));
    expect(answers.map((answer) => answer.body)).toEqual(Array(50).fill("hello"));
  });

  test.each([
    [
      "throws",
      () => {
        throw new Error("secret");
      },
    ],
    [
      "rejects",
      async () => {
        throw new Error("secret");
      },
    ],
  ])("answers 500 when the handler %s, and reports why", async (_name, handler) => {
    const reports: { error: unknown; what: string }[] = [];
    const server = await start({
      ...options,
      handler,
      onError: (error, what) => reports.push({ error, what }),
    });
    for (const expected of [1, 2]) {
      const answer = await send(server, transport);
      expect(answer.status).toBe(500);
      expect(answer.headers).toMatchObject({
        "content-type": "application/json",
        "cache-control": "no-store",
      });
      const status = JSON.parse(answer.body);
      const id = status.details[0].metadata.correlation_id;
      expect(status).toEqual({
        code: 13,
        message: `internal error, logged as ${id}`,
        details: [
          {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            reason: "INTERNAL",
            domain: "countersign",
            metadata: { correlation_id: id },
          },
        ],
      });
      expect(reports).toHaveLength(expected);
      expect(reports.at(-1)).toMatchObject({
        error: { message: "secret" },
        what: expect.stringContaining(id),
      });
    }
  });

  test("aborts a reply if the handler throws after starting it", async () => {
    const server = await start({
      ...options,
      handler: (_request, response) => {
        response.setHeader("content-length", 100);
        begin(response, "half");
        throw new Error("secret");
      },
    });
    await expect(send(server, transport)).rejects.toThrow();
  });

  test("survives a handler that answers after the client has disconnected", async () => {
    const held = createGate();
    const arrived = createGate();
    const server = await start({
      ...options,
      handler: (request, response) => {
        if (request.url !== "/held") return void response.end("hello");
        arrived.open();
        held.opened.then(() => {
          response.setHeader("x", "y");
          response.end("late");
          begin(response, "later");
        });
      },
    });
    if (transport.isHttp2) {
      const session = openHttp2(server);
      const stream = session.request({ ":path": "/held" });
      stream.on("error", () => {});
      await arrived.opened;
      session.destroy();
    } else {
      const socket = await open(server);
      socket.write("GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n");
      await arrived.opened;
      socket.destroy();
    }
    expect((await send(server, transport)).body).toBe("hello");
    held.open();
    expect((await send(server, transport)).body).toBe("hello");
  });

  test("asks for the body of a request with Expect: 100-continue", async () => {
    const server = await start({
      ...options,
      handler: (request, response) => {
        echo(request).then((body) => response.end(body));
      },
    });
    if (transport.isHttp2) {
      const session = openHttp2(server);
      const stream = session.request({ ":method": "POST", expect: "100-continue" });
      await once(stream, "continue");
      stream.end("body");
      let received = "";
      for await (const chunk of stream) received += chunk;
      expect(JSON.parse(received).body).toBe("body");
    } else {
      const socket = await open(server);
      const continued = untilReceived(socket, "\r\n\r\n");
      socket.write("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
      expect(await continued).toBe("HTTP/1.1 100 Continue\r\n\r\n");
      const answered = untilReceived(socket, "}");
      socket.write("body");
      expect(await answered).toContain('"body":"body"');
    }
  });
});

describe("version detection", () => {
  test("recognises a preface that arrives byte by byte", async () => {
    const server = await start();
    const socket = await open(server);
    socket.setNoDelay();
    const received = untilClosed(socket);
    for (const byte of preface) {
      socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const request = frame(types.headers, endHeaders | endStream, 1, getBlock);
    socket.write(Buffer.concat([settings, request]));
    const goaway = frame(types.goaway, 0, 0, Buffer.alloc(8));
    socket.write(goaway);
    const frames = parseFrames(await received);
    const data = frames.filter(({ type, streamId }) => type === 0 && streamId === 1);
    expect(Buffer.concat(data.map(({ payload }) => payload)).toString()).toBe("hello");
  });

  test("recognises a preface that arrives with the first request", async () => {
    const server = await start();
    const socket = await open(server);
    const received = untilClosed(socket);
    const request = frame(types.headers, endHeaders | endStream, 1, getBlock);
    socket.write(Buffer.concat([preface, settings, request, frame(types.goaway, 0, 0, Buffer.alloc(8))]));
    expect(await received).toContain("hello");
  });

  test.each([
    ["a preface cut after PR", ["PR", "I * HTTP/2.0\r\n\r\nSM\r\n\r\n"]],
    ["a preface cut in its middle", ["PRI * HTTP/2.0\r\n\r\n", "SM\r\n\r\n"]],
  ])("recognises %s", async (_name, parts) => {
    const server = await start();
    const socket = await open(server);
    const received = untilClosed(socket);
    for (const part of parts) {
      socket.write(part);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const request = frame(types.headers, endHeaders | endStream, 1, getBlock);
    socket.write(Buffer.concat([settings, request, frame(types.goaway, 0, 0, Buffer.alloc(8))]));
    expect(await received).toContain("hello");
  });

  test.each(["POST", "PUT", "PATCH", "PROPFIND", "GET"])(
    "recognises %s as HTTP/1, byte by byte",
    async (method) => {
      const server = await start({
        handler: (request, response) => void response.end(`[${request.method}]`),
      });
      const socket = await open(server);
      const received = untilClosed(socket);
      const head = `${method} / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`;
      for (const byte of head) {
        socket.write(byte);
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(parseAnswer(await received)).toMatchObject({ status: 200, body: `[${method}]` });
    },
  );

  test.each([
    ["an incorrect preface", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"],
    ["the preface of another version", "PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n"],
    ["a TLS handshake", "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003"],
    ["garbage", "\u0000\u0001\u0002\u0003\r\n\r\n"],
  ])("refuses %s", async (_name, bytes) => {
    const server = await start();
    const socket = await open(server);
    const received = untilClosed(socket);
    socket.write(Buffer.from(bytes, "latin1"));
    expect(await received).toMatch(/^$|^HTTP\/1\.1 400 /);
    expect((await send(server, transports[0]!)).status).toBe(200);
  });

  test("ignores an offer to upgrade to h2c", async () => {
    const server = await start();
    const socket = await open(server);
    const received = untilClosed(socket);
    const upgrade =
      "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nConnection: close, Upgrade, HTTP2-Settings";
    socket.write(`GET / HTTP/1.1\r\nHost: localhost\r\n${upgrade}\r\n\r\n`);
    expect(parseAnswer(await received)).toMatchObject({ status: 200, body: "hello" });
  });

  test("closes a connection that ends before its version is known", async () => {
    const server = await start();
    const socket = await open(server);
    const received = untilClosed(socket);
    socket.end("PR");
    expect(await received).toBe("");
  });
});

describe("TLS", () => {
  test("speaks HTTP/1.1 to a client without ALPN", async () => {
    const server = await start({ tls });
    const socket = await open(server, []);
    const received = untilClosed(socket);
    socket.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    expect(parseAnswer(await received)).toMatchObject({ status: 200, body: "hello" });
  });

  test("closes a plaintext connection", async () => {
    const reports: unknown[] = [];
    const server = await start({ tls, onError: (error) => reports.push(error) });
    const socket = connectTcp(server.port, "127.0.0.1");
    const received = untilClosed(socket);
    socket.on("error", () => {});
    socket.write("GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret\r\n\r\n");
    expect(await received).not.toContain("HTTP/1.1");
    expect((await send(server, transports[3]!)).status).toBe(200);
    expect(JSON.stringify(reports)).not.toContain("secret");
  });

  test("reports failed handshakes, but not port scans", async () => {
    const reports: unknown[] = [];
    const server = await start({ tls, onError: (error, what) => reports.push([what, error]) });
    for (const bytes of ["", "", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"]) {
      const socket = connectTcp(server.port, "127.0.0.1");
      socket.on("error", () => {});
      const closed = untilClosed(socket);
      if (bytes === "") socket.end();
      else socket.write(bytes);
      await closed;
    }
    expect(reports).toEqual([["a TLS handshake failed", new Error("ERR_SSL_HTTP_REQUEST")]]);
  });

  test.each<[string, ConnectionOptions]>([
    ...(["TLSv1", "TLSv1.1"] as const).map((version): [string, ConnectionOptions] => [
      version,
      { minVersion: version, maxVersion: version, ciphers: "DEFAULT@SECLEVEL=0" },
    ]),
    ["a client that only offers unknown protocols", { ALPNProtocols: ["spdy/3"] }],
  ])("refuses %s", async (_name, options) => {
    const { port } = await start({ tls });
    const socket = connectTls({ port, host: "127.0.0.1", servername: "localhost", ca: tls.cert, ...options });
    const [error] = await once(socket, "error");
    expect(error.code).toMatch(/^(ERR_SSL_|EPROTO|ECONNRESET)/);
  });
});

describe("listening", () => {
  test.each([
    ["127.0.0.1", "http://127.0.0.1:"],
    ["localhost", "http://localhost:"],
    ["0.0.0.0", "http://localhost:"],
  ])("on %s has the origin %s and a port", async (host, origin) => {
    const server = await start({ host });
    expect(server.origin).toBe(`${origin}${server.port}`);
    expect(server.port).toBeGreaterThan(0);
  });

  test("rejects when the port is taken", async () => {
    const { port } = await start();
    await expect(start({ port })).rejects.toMatchObject({ code: "EADDRINUSE" });
  });

  test("rejects an invalid key", async () => {
    await expect(
      listen({ host: "127.0.0.1", port: 0, tls: { cert: tls.cert, key: "none" }, handler: () => {} }),
    ).rejects.toThrow();
  });
});
