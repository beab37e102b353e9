import { once } from "node:events";
import { constants } from "node:http2";
import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import type { NodeResponse } from "../../src/http/reply.ts";
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
  sendHttp2,
  start,
  tls,
  transports,
  untilClosed,
  untilReceived,
} from "../support/http/requests.ts";

const quick = { headersTimeoutMs: 200, requestTimeoutMs: 300, idleTimeoutMs: 300, sessionIdleMs: 300 };
const post = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf";

describe.each([
  { name: "without TLS", options: {}, plain: transports[0]! },
  { name: "over TLS", options: { tls }, plain: transports[1]! },
])("HTTP/1.1 $name", ({ options, plain }) => {
  test("answers 408 to headers that arrive too slowly", async () => {
    const server = await start({ ...options, limits: quick });
    const socket = await open(server);
    const received = untilClosed(socket);
    socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n");
    const drip = setInterval(() => socket.write("a: b\r\n"), 50);
    const answer = parseAnswer(await received);
    clearInterval(drip);
    expect(answer.status).toBe(408);
    expect(JSON.parse(answer.body)).toMatchObject({ code: 4, details: [{ reason: "DEADLINE_EXCEEDED" }] });
    expect((await send(server, plain)).status).toBe(200);
  });

  test("answers 408 once to a body that arrives too slowly, and closes the request of the handler", async () => {
    const over = createGate();
    const server = await start({
      ...options,
      limits: quick,
      handler: (request, response) => {
        request.resume().on("close", () => {
          over.open();
          response.end("late");
        });
      },
    });
    const socket = await open(server);
    const received = untilClosed(socket);
    socket.write(post);
    const answers = await received;
    expect(answers.match(/HTTP\/1\.1 /g)).toHaveLength(1);
    expect(parseAnswer(answers).status).toBe(408);
    await over.opened;
  });

  test("closes an unused connection without a reply", async () => {
    const server = await start({ ...options, limits: quick });
    expect(await untilClosed(await open(server))).toBe("");
  });

  test("closes an idle keep-alive connection", async () => {
    const server = await start({ ...options, limits: quick });
    const socket = await open(server);
    const received = untilClosed(socket);
    socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    expect((await received).match(/HTTP\/1\.1 /g)).toHaveLength(1);
  });

  test("lets a handler take longer than every limit", async () => {
    const server = await start({
      ...options,
      limits: quick,
      handler: (_request, response) => void setTimeout(() => response.end("hello"), 600),
    });
    expect((await send(server, plain, { method: "POST", body: "body" })).body).toBe("hello");
  });

  test("closes a connection whose client doesn't read the reply", async () => {
    const over = createGate();
    const server = await start({
      ...options,
      limits: quick,
      handler: (_request, response) => {
        response.on("close", over.open);
        response.end(Buffer.alloc(50_000_000));
      },
    });
    const socket = await open(server);
    socket.pause();
    socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await over.opened;
  });

  test("closes a connection with too many pipelined requests", async () => {
    let handled = 0;
    const reports: string[] = [];
    const server = await start({
      ...options,
      limits: { streamsMax: 10 },
      handler: () => {
        handled += 1;
      },
      onError: (_error, what) => reports.push(what),
    });
    const socket = await open(server);
    const received = untilClosed(socket);
    socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1_000));
    expect(await received).toBe("");
    expect(handled).toBe(10);
    expect(reports).toEqual(["an HTTP/1 connection was closed"]);
  });
});

describe.each([
  { name: "without TLS", options: {}, transport: transports[2]! },
  { name: "over TLS", options: { tls }, transport: transports[3]! },
])("HTTP/2 $name", ({ options, transport }) => {
  test("answers 408 to a body that arrives too slowly, and keeps the connection", async () => {
    const over = createGate();
    const server = await start({
      ...options,
      limits: { ...quick, sessionIdleMs: 60_000 },
      handler: (request, response) => {
        request.resume();
        if (request.method === "GET") response.end("hello");
        else request.on("close", over.open);
      },
    });
    const session = openHttp2(server);
    const stream = session.request({ ":method": "POST" });
    stream.write("half");
    const [headers] = await once(stream, "response");
    expect(headers[":status"]).toBe(408);
    let body = "";
    stream.on("data", (chunk) => {
      body += chunk;
    });
    await once(stream, "close");
    expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
    expect(JSON.parse(body)).toMatchObject({ code: 4, details: [{ reason: "DEADLINE_EXCEEDED" }] });
    await over.opened;
    expect((await sendHttp2(session, {})).body).toBe("hello");
  });

  test.each<[string, (response: NodeResponse) => void, number]>([
    [
      "resets a stream whose body arrives too slowly after its reply has started",
      (response) => begin(response, "begun"),
      constants.NGHTTP2_CANCEL,
    ],
    [
      "closes a stream whose client doesn't finish a request that was answered",
      (response) => void response.end("hello"),
      constants.NGHTTP2_NO_ERROR,
    ],
  ])("%s", async (_name, answer, code) => {
    const server = await start({
      ...options,
      limits: quick,
      handler: (request, response) => {
        request.resume();
        answer(response);
      },
    });
    const stream = openHttp2(server).request({ ":method": "POST" });
    stream.on("error", () => {});
    stream.resume().write("half");
    await once(stream, "close");
    expect(stream.rstCode).toBe(code);
  });

  test("lets a handler take longer than every limit", async () => {
    const server = await start({
      ...options,
      limits: quick,
      handler: (request, response) => {
        request.resume();
        setTimeout(() => response.end("hello"), 600);
      },
    });
    expect((await send(server, transport, { method: "POST", body: "body" })).body).toBe("hello");
  });

  test("closes a stream whose client doesn't read the reply", async () => {
    const over = createGate();
    const server = await start({
      ...options,
      limits: quick,
      handler: (_request, response) => {
        response.on("close", over.open);
        response.end(Buffer.alloc(1_000_000));
      },
    });
    const stream = openHttp2(server).request({});
    stream.on("error", () => {});
    stream.pause();
    await over.opened;
  });

  test("closes a connection without streams", async () => {
    const server = await start({ ...options, limits: quick });
    const session = openHttp2(server);
    const [code] = await once(session, "goaway");
    expect(code).toBe(constants.NGHTTP2_NO_ERROR);
    await once(session, "close");
  });

  test("closes a connection without streams even if the client keeps its side open", async () => {
    const server = await start({ ...options, limits: { ...quick, connectionsMax: 1 } });
    const socket = await open(server, ["h2"]);
    socket.allowHalfOpen = true;
    socket.resume().write(Buffer.concat([preface, settings]));
    await once(socket, "end");
    await expect.poll(() => statusOf(send(server, transport)), { timeout: 10_000 }).toBe(200);
  });

  test("closes a silent connection with streams if the client doesn't answer a PING", async () => {
    const over = createGate();
    const server = await start({
      ...options,
      limits: quick,
      handler: (_request, response) => void response.on("close", over.open),
    });
    const socket = await open(server, ["h2"]);
    const received = untilClosed(socket);
    socket.write(
      Buffer.concat([preface, settings, frame(types.headers, endHeaders | endStream, 1, getBlock)]),
    );
    expect(parseFrames(await received).map(({ type }) => type)).toContain(types.ping);
    await over.opened;
  });

  test("keeps a silent connection with streams if the client answers PINGs", async () => {
    const held = createGate();
    const server = await start({
      ...options,
      limits: quick,
      handler: (_request, response) => void held.opened.then(() => response.end("hello")),
    });
    const session = openHttp2(server);
    const answer = sendHttp2(session, {});
    await once(session, "ping");
    await once(session, "ping");
    held.open();
    expect((await answer).body).toBe("hello");
  });

  test("refuses streams above the limit even before the client knows it", async () => {
    const held = createGate();
    let handled = 0;
    const server = await start({
      ...options,
      limits: { streamsMax: 2 },
      handler: (_request, response) => {
        handled += 1;
        held.opened.then(() => response.end("hello"));
      },
    });
    const socket = await open(server, ["h2"]);
    const received = untilClosed(socket);
    const request = (id: number) => frame(types.headers, endHeaders | endStream, id, getBlock);
    const pong = untilReceived(socket, "pingpong");
    const ping = frame(types.ping, 0, 0, Buffer.from("pingpong"));
    socket.write(Buffer.concat([preface, settings, request(1), request(3), request(5), request(7), ping]));
    await pong;
    expect(handled).toBe(2);
    held.open();
    socket.write(frame(types.goaway, 0, 0, Buffer.alloc(8)));
    const frames = parseFrames(await received);
    expect(frames.filter(({ type }) => type === types.rstStream)).toEqual([
      {
        type: types.rstStream,
        streamId: 5,
        payload: Buffer.from([0, 0, 0, constants.NGHTTP2_REFUSED_STREAM]),
      },
      {
        type: types.rstStream,
        streamId: 7,
        payload: Buffer.from([0, 0, 0, constants.NGHTTP2_REFUSED_STREAM]),
      },
    ]);
    const answered = frames.filter(({ payload }) => payload.toString() === "hello");
    expect(answered.map(({ streamId }) => streamId).sort()).toEqual([1, 3]);
  });

  test("carries 100 streams with large headers and bodies at once", async () => {
    const server = await start({
      ...options,
      handler: (request, response) => {
        let length = 0;
        request.on("data", (chunk) => {
          length += chunk.length;
        });
        request.on("end", () => response.end(`${length}`));
      },
    });
    const session = openHttp2(server);
    const body = "b".repeat(64 * 1024);
    const questions = Array.from({ length: 100 }, (_, n) =>
      sendHttp2(session, { ":method": "POST", "x-large": `${n}`.padEnd(15_000, "a") }, body),
    );
    const answers = await Promise.all(questions);
    expect(new Set(answers.map((answer) => answer.body))).toEqual(new Set([`${body.length}`]));
  });
});

describe("connections", () => {
  test("closes a TLS handshake that doesn't finish", async () => {
    const server = await start({ tls, limits: quick });
    const socket = connect(server.port, "127.0.0.1");
    const received = untilClosed(socket);
    socket.on("error", () => {});
    socket.write(Buffer.from([0x16, 0x03, 0x01]));
    expect(await received).toBe("");
    expect((await send(server, transports[3]!)).status).toBe(200);
  });

  test("closes a connection that stops within the preface", async () => {
    const server = await start({ limits: quick });
    const socket = await open(server);
    const received = untilClosed(socket);
    socket.write("PRI * HTTP");
    expect(await received).toBe("");
  });

  test("are refused above the limit, reported once, and accepted again when others close", async () => {
    const reports: string[] = [];
    const server = await start({
      limits: { connectionsMax: 2 },
      onError: (_error, what) => reports.push(what),
    });
    const first = await open(server);
    await open(server);
    await untilClosed(await open(server));
    await untilClosed(await open(server));
    expect(reports).toEqual(["a connection was refused"]);
    const closed = untilClosed(first);
    first.end("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    await closed;
    await expect.poll(() => statusOf(send(server, transports[0]!))).toBe(200);
  });
});

function statusOf(answer: Promise<{ status: number }>): Promise<number | undefined> {
  return answer.then(
    ({ status }) => status,
    () => undefined,
  );
}
