import { once } from "node:events";
import { constants } from "node:http2";
import { connect as connectTcp } from "node:net";
import { describe, expect, test } from "vitest";
import type { HttpServer, HttpServerOptions } from "../../src/http/server.ts";
import { createGate } from "../support/gate.ts";
import {
  begin,
  open,
  openHttp2,
  parseAnswer,
  sendHttp2,
  start,
  tls,
  untilClosed,
  untilReceived,
} from "../support/http/requests.ts";

/** Longer than the timeout of a test, so that no test passes by waiting for it. */
const graceMs = 60_000;
const get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/** Starts a server whose handler holds requests to `/held` until the gate opens. */
async function startHeld(options: Partial<HttpServerOptions>) {
  const held = createGate();
  const arrived = createGate();
  const server = await start({
    ...options,
    handler: (request, response) => {
      if (request.url !== "/held") return void response.end("hello");
      arrived.open();
      held.opened.then(() => response.end("held"));
    },
  });
  return { server, held, arrived };
}

function isRefused({ port }: HttpServer): Promise<boolean> {
  const socket = connectTcp(port, "127.0.0.1");
  return new Promise((resolve) => {
    socket.once("connect", () => resolve(false));
    socket.once("error", () => resolve(true));
  }).finally(() => socket.destroy()) as Promise<boolean>;
}

describe.each([
  { name: "without TLS", options: {} },
  { name: "over TLS", options: { tls } },
])("closing $name", ({ options }) => {
  test("finishes an HTTP/1 request in flight with Connection: close, and accepts no new connections", async () => {
    const { server, held, arrived } = await startHeld(options);
    const socket = await open(server);
    const received = untilClosed(socket);
    socket.write("GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await arrived.opened;

    const closed = server.close(graceMs);
    expect(await isRefused(server)).toBe(true);
    held.open();
    const answer = parseAnswer(await received);
    expect(answer).toMatchObject({ status: 200, body: "held" });
    expect(answer.head.toLowerCase()).toContain("connection: close");
    await closed;
  });

  test("finishes an HTTP/1 reply that has started", async () => {
    const held = createGate();
    const server = await start({
      ...options,
      handler: (_request, response) => {
        begin(response, "begun ");
        held.opened.then(() => response.end("done"));
      },
    });
    const socket = await open(server);
    const received = untilClosed(socket);
    const begun = untilReceived(socket, "begun");
    socket.write(get);
    await begun;
    const closed = server.close(graceMs);
    held.open();
    expect(parseAnswer(await received).body).toBe("6\r\nbegun \r\n4\r\ndone\r\n0\r\n\r\n");
    await closed;
  });

  test("finishes pipelined HTTP/1 requests", async () => {
    const { server, held, arrived } = await startHeld(options);
    const socket = await open(server);
    const received = untilClosed(socket);
    socket.write("GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2));
    await arrived.opened;
    const closed = server.close(graceMs);
    held.open();
    expect((await received).match(/held/g)).toHaveLength(2);
    await closed;
  });

  test("answers an HTTP/1 request whose header is incomplete", async () => {
    const { server } = await startHeld(options);
    const socket = await open(server);
    const first = untilReceived(socket, "hello");
    socket.write(get);
    await first;
    socket.write(get.slice(0, 20));
    // The first half has arrived once the server answers a request that was sent after it.
    const other = await open(server);
    const seen = untilReceived(other, "hello");
    other.write(get);
    await seen;

    const received = untilClosed(socket);
    const closed = server.close(graceMs);
    socket.write(get.slice(20));
    expect(parseAnswer(await received)).toMatchObject({ status: 200, body: "hello" });
    await closed;
  });

  test("closes idle connections at once: kept alive, unused and undecided", async () => {
    const { server } = await startHeld(options);
    const kept = await open(server);
    const answered = untilReceived(kept, "hello");
    kept.write(get);
    await answered;
    const sockets = [kept, await open(server), await open(server, ["h2"])];
    const all = Promise.all(sockets.map(untilClosed));
    await server.close(graceMs);
    await all;
  });

  test("finishes an HTTP/2 stream in flight and sends GOAWAY", async () => {
    const { server, held, arrived } = await startHeld(options);
    const session = openHttp2(server);
    const answer = sendHttp2(session, { ":path": "/held" });
    await arrived.opened;
    const goaway = once(session, "goaway");
    const closed = server.close(graceMs);
    // The stream in flight is the last one that is served.
    expect((await goaway).slice(0, 2)).toEqual([constants.NGHTTP2_NO_ERROR, 1]);
    expect(await isRefused(server)).toBe(true);
    held.open();
    expect(await answer).toMatchObject({ status: 200, body: "held" });
    await closed;
  });

  test("closes idle HTTP/2 connections", async () => {
    const { server } = await startHeld(options);
    const session = openHttp2(server);
    await sendHttp2(session, {});
    const ended = once(session, "close");
    await server.close(graceMs);
    await ended;
  });

  test("destroys the remaining connections after the grace period", async () => {
    const { server, arrived } = await startHeld(options);
    const socket = await open(server);
    const session = openHttp2(server);
    const reset = sendHttp2(session, { ":path": "/held" }).catch((error: Error) => error);
    const received = untilClosed(socket);
    socket.write("GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await arrived.opened;
    await server.close(100);
    expect(await received).toBe("");
    expect(await reset).toBeInstanceOf(Error);
  });

  test("shortens the grace period when called again", async () => {
    const { server, arrived } = await startHeld(options);
    const socket = await open(server);
    const received = untilClosed(socket);
    socket.write("GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await arrived.opened;
    const closed = server.close(graceMs);
    await server.close(0);
    await closed;
    expect(await received).toBe("");
    await server.close(graceMs);
  });
});

test("closing waits for a TLS handshake only until the handshake times out", async () => {
  const server = await start({ tls, limits: { headersTimeoutMs: 200 } });
  const socket = connectTcp(server.port, "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  const received = untilClosed(socket);
  await server.close(graceMs);
  await received;
});
