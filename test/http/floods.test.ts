import { describe, expect, test } from "vitest";
import type { HttpServer } from "../../src/http/server.ts";
import { createGate } from "../support/gate.ts";
import { endHeaders, endStream, frame, getBlock, preface, settings, types } from "../support/http/frames.ts";
import {
  open,
  openHttp2,
  send,
  sendHttp2,
  start,
  tls,
  transports,
  untilClosed,
} from "../support/http/requests.ts";

const ping = frame(types.ping, 0, 0, Buffer.alloc(8));
const hello = Buffer.concat([preface, settings]);

/** `count` requests, each followed by a reset. */
function rapidReset(count: number): Buffer {
  const frames = [];
  for (let n = 0; n < count; n++) {
    const id = 2 * n + 1;
    frames.push(frame(types.headers, endHeaders | endStream, id, getBlock));
    frames.push(frame(types.rstStream, 0, id, Buffer.from([0, 0, 0, 8])));
  }
  return Buffer.concat(frames);
}

function repeat(bytes: Buffer, count: number): Buffer {
  return Buffer.concat(Array<Buffer>(count).fill(bytes));
}

/** Node gives up some attackers after a GOAWAY. They are closed when they are silent, and then don't answer a PING. */
const quick = { sessionIdleMs: 300, headersTimeoutMs: 300 };

describe.each([
  { name: "HTTP/2 without TLS", options: {}, transport: transports[2]! },
  { name: "HTTP/2 over TLS", options: { tls }, transport: transports[3]! },
])("$name", ({ options, transport }) => {
  /** Expects that an existing connection and a new one are served. */
  async function expectServed(server: HttpServer, session: ReturnType<typeof openHttp2>) {
    expect((await sendHttp2(session, {})).body).toBe("hello");
    expect((await send(server, transport)).body).toBe("hello");
  }

  test.each([
    ["2,000 streams that are reset at once", rapidReset(2_000)],
    [
      "endless headers",
      Buffer.concat([
        frame(types.headers, endStream, 1, getBlock),
        repeat(frame(types.continuation, 0, 1, Buffer.alloc(1_000, 0)), 1_000),
      ]),
    ],
    ["5,000 SETTINGS of many entries", repeat(frame(types.settings, 0, 0, Buffer.alloc(6 * 100, 0)), 5_000)],
    ["a malformed header block", frame(types.headers, endHeaders | endStream, 1, Buffer.alloc(200, 0xff))],
    [
      "a header block with an invalid index",
      frame(types.headers, endHeaders | endStream, 1, Buffer.from([0xff, 0x80, 0x01])),
    ],
    ["a window that overflows", frame(0x8, 0, 0, Buffer.from([0x7f, 0xff, 0xff, 0xff]))],
    ["a frame that is too long", frame(types.ping, 0, 0, Buffer.alloc(20_000))],
    ["an even stream id", frame(types.headers, endHeaders | endStream, 2, getBlock)],
  ])("closes a connection with %s and serves the others", async (_name, attack) => {
    const server = await start({ ...options, limits: quick });
    const socket = await open(server, ["h2"]);
    const received = untilClosed(socket);
    socket.write(Buffer.concat([hello, attack]));
    await received;
    await expectServed(server, openHttp2(server));
  });

  test("closes a connection with a malformed header block while another request is running", async () => {
    const begun = createGate();
    const over = createGate();
    const server = await start({
      ...options,
      limits: quick,
      handler: (_request, response) => {
        begun.open();
        response.on("close", over.open);
      },
    });
    const socket = await open(server, ["h2"]);
    const received = untilClosed(socket);
    socket.write(Buffer.concat([hello, frame(types.headers, endHeaders | endStream, 1, getBlock)]));
    await begun.opened;
    socket.write(frame(types.headers, endHeaders, 3, Buffer.alloc(200, 0xff)));
    await received;
    await over.opened;
  });

  test.each([
    ["5,000 PINGs", repeat(ping, 5_000)],
    ["5,000 SETTINGS", repeat(settings, 5_000)],
    ["2,000 streams that are reset at once", rapidReset(2_000)],
  ])("survives %s of a client that reads nothing and disconnects", async (_name, flood) => {
    const server = await start(options);
    const session = openHttp2(server);
    const socket = await open(server, ["h2"]);
    socket.pause();
    await new Promise((resolve) => socket.write(Buffer.concat([hello, flood]), resolve));
    await expectServed(server, session);
    socket.destroy();
    await expectServed(server, session);
  });

  test("survives clients that disconnect in the middle of malformed headers", async () => {
    const server = await start(options);
    const session = openHttp2(server);
    const malformed = frame(types.headers, endHeaders, 1, Buffer.alloc(200, 0xff));
    for (let n = 0; n < 50; n++) {
      const socket = await open(server, ["h2"]);
      socket.write(Buffer.concat([hello, malformed]));
      if (n % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
      socket.destroy();
    }
    await expectServed(server, session);
  });
});

describe.each(transports)("$name", ({ isTls, isHttp2 }) => {
  test("survives clients that disconnect after every byte of a request", async () => {
    const server = await start(isTls ? { tls } : {});
    const request = isHttp2
      ? Buffer.concat([hello, frame(types.headers, endHeaders | endStream, 1, getBlock), ping])
      : Buffer.from("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody");
    for (let length = 0; length <= request.length; length++) {
      const socket = await open(server, [isHttp2 ? "h2" : "http/1.1"]);
      socket.write(request.subarray(0, length));
      if (length % 2 === 0) socket.end();
      else socket.destroy();
    }
    expect((await send(server, { name: "", isTls, isHttp2 })).body).toBe("hello");
  });
});
