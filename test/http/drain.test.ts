import { once } from "node:events";
import { constants } from "node:http2";
import { connect as connectTcp } from "node:net";
import { describe, expect, test } from "vitest";
import type { HttpServer, HttpServerOptions } from "../../src/http/server.ts";
import {
  begin,
  gate,
  open,
  openHttp2,
  parseAnswer,
  sendHttp2,
  start,
  tls,
  untilClosed,
  untilReceived,
} from "../support/http/requests.ts";

/** Far above what any of these tests takes: whatever waits for it fails. */
const graceMs = 60_000;
const get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/** A server whose handler holds requests to `/held`. */
async function startHeld(options: Partial<HttpServerOptions>) {
  const held = gate();
  const arrived = gate();
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
  { name: "in clear", options: {} },
  { name: "over TLS", options: { tls } },
])("closing $name", ({ options }) => {
  test("finishes a request of HTTP/1 in flight, says that the connection closes, and takes no new one", async () => {
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

  test("finishes a reply of HTTP/1 that is under way", async () => {
    const held = gate();
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

  test("finishes requests of HTTP/1 that are pipelined", async () => {
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

  test("answers a request of HTTP/1 whose header is half there", async () => {
    const { server } = await startHeld(options);
    const socket = await open(server);
    const first = untilReceived(socket, "hello");
    socket.write(get);
    await first;
    socket.write(get.slice(0, 20));
    // The half has arrived when the server has answered somebody who wrote later.
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

  test("closes idle connections at once: kept, never used and undecided", async () => {
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

  test("finishes a stream of HTTP/2 in flight and sends GOAWAY", async () => {
    const { server, held, arrived } = await startHeld(options);
    const session = openHttp2(server);
    const answer = sendHttp2(session, { ":path": "/held" });
    await arrived.opened;
    const goaway = once(session, "goaway");
    const closed = server.close(graceMs);
    // The stream in flight is the last that is answered.
    expect((await goaway).slice(0, 2)).toEqual([constants.NGHTTP2_NO_ERROR, 1]);
    expect(await isRefused(server)).toBe(true);
    held.open();
    expect(await answer).toMatchObject({ status: 200, body: "held" });
    await closed;
  });

  test("ends idle connections of HTTP/2", async () => {
    const { server } = await startHeld(options);
    const session = openHttp2(server);
    await sendHttp2(session, {});
    const ended = once(session, "close");
    await server.close(graceMs);
    await ended;
  });

  test("destroys what is left when the time is over", async () => {
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

  test("can be asked twice, and the second time in more of a hurry", async () => {
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

test("closing waits for a TLS handshake no longer than for any", async () => {
  const server = await start({ tls, limits: { headersTimeoutMs: 200 } });
  const socket = connectTcp(server.port, "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  const received = untilClosed(socket);
  await server.close(graceMs);
  await received;
});
