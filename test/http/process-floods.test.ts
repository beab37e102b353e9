import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { type OnEnd, temporaryFolder } from "../support/folder.ts";
import { endHeaders, endStream, frame, getBlock, preface, settings, types } from "../support/http/frames.ts";
import { residentBytes, watchResidentBytes } from "../support/http/memory.ts";
import { openHttp2, sendHttp2, tls } from "../support/http/requests.ts";
import { type Running, startCommand } from "../support/process/process.ts";
import { rounds } from "../support/soak.ts";

// Runs the built program. One process gets all floods in turn, and its memory is compared with that before the first one.
// 3,000 ordinary requests come first, because they alone let the heap of a new process grow by a third.

const hello = Buffer.concat([preface, settings]);
const reset = Buffer.from([0, 0, 0, 8]);

/** A literal header field that is not indexed (RFC 7541 §6.2.2). */
function field(name: string, value: string): Buffer {
  const lengths = (length: number) => {
    if (length < 127) return [length];
    const bytes = [127];
    let rest = length - 127;
    for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
    return [...bytes, rest];
  };
  const parts = [name, value].map((text) => Buffer.from([...lengths(text.length), ...Buffer.from(text)]));
  return Buffer.concat([Buffer.from([0]), ...parts]);
}

const bigBlock = Buffer.concat([getBlock, field("x-big", "a".repeat(15_000))]);
const postBlock = Buffer.from(getBlock);
postBlock[0] = 0x83;

interface Flood {
  readonly name: string;
  /** Returns the next bytes to send. `id` returns the id of a new stream of the connection. */
  next(id: () => number): Buffer;
  readonly connections?: number;
  /** Whether the server must close the connection. */
  readonly isClosed: boolean;
  readonly pauseMs?: number;
  /** Duration of the flood. Long headers take a while to fill the memory. */
  readonly attackMs?: number;
  readonly isHttp1?: boolean;
  /** Whether the client reads nothing until the flood ends. */
  readonly isDeaf?: boolean;
}

const times = (count: number, piece: () => Buffer) => Buffer.concat(Array.from({ length: count }, piece));

/** Sends `first` once on a new stream, and then `rest` repeatedly. */
function onOneStream(first: (id: number) => Buffer, rest: Buffer): Flood["next"] {
  return (id) => {
    const stream = id();
    return stream === 1 ? first(stream) : rest;
  };
}

const floods: readonly Flood[] = [
  {
    name: "streams that are reset at once",
    next: (id) =>
      times(200, () => {
        const stream = id();
        return Buffer.concat([
          frame(types.headers, endHeaders | endStream, stream, getBlock),
          frame(types.rstStream, 0, stream, reset),
        ]);
      }),
    isClosed: true,
  },
  {
    name: "streams with 15 KB of headers that are reset at once",
    next: (id) =>
      times(10, () => {
        const stream = id();
        return Buffer.concat([
          frame(types.headers, endHeaders | endStream, stream, bigBlock),
          frame(types.rstStream, 0, stream, reset),
        ]);
      }),
    connections: 4,
    attackMs: 1_200,
    isClosed: true,
  },
  {
    name: "requests with 15 KB of headers",
    next: (id) => times(10, () => frame(types.headers, endHeaders | endStream, id(), bigBlock)),
    connections: 4,
    attackMs: 1_200,
    isClosed: false,
  },
  {
    name: "unfinished requests with 15 KB of headers",
    next: (id) => times(10, () => frame(types.headers, endHeaders, id(), bigBlock)),
    connections: 4,
    attackMs: 1_200,
    isClosed: true,
  },
  {
    name: "endless headers",
    next: onOneStream(
      (id) => frame(types.headers, endStream, id, getBlock),
      times(20, () => frame(types.continuation, 0, 1, field("x-a", "a".repeat(1_000)))),
    ),
    isClosed: true,
  },
  { name: "SETTINGS", next: () => times(2_000, () => settings), isClosed: true, isDeaf: true },
  {
    name: "SETTINGS of many entries",
    next: () => times(200, () => frame(types.settings, 0, 0, Buffer.alloc(600))),
    isClosed: true,
  },
  {
    name: "PINGs",
    next: () => times(2_000, () => frame(types.ping, 0, 0, Buffer.alloc(8))),
    isClosed: true,
    isDeaf: true,
  },
  {
    name: "empty DATA",
    next: onOneStream(
      (id) => frame(types.headers, endHeaders, id, postBlock),
      times(2_000, () => frame(0x0, 0, 1, Buffer.alloc(0))),
    ),
    isClosed: true,
  },
  {
    name: "a window that overflows",
    next: () => frame(0x8, 0, 0, Buffer.from([0x7f, 0xff, 0xff, 0xff])),
    isClosed: true,
  },
  {
    name: "malformed header blocks",
    next: (id) => frame(types.headers, endHeaders | endStream, id(), Buffer.alloc(200, 0xff)),
    isClosed: true,
  },
  {
    name: "requests with a window of 0",
    next: (id) =>
      Buffer.concat([
        frame(types.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])),
        times(90, () => frame(types.headers, endHeaders | endStream, id(), getBlock)),
      ]),
    pauseMs: 60_000,
    connections: 20,
    isClosed: false,
  },
  {
    name: "pipelined requests",
    next: () => times(100, () => Buffer.from("GET /x HTTP/1.1\r\nhost: localhost\r\n\r\n")),
    isHttp1: true,
    isClosed: true,
  },
  {
    name: "slow headers",
    next: () => Buffer.from("GET / HTTP/1.1\r\nx: a"),
    pauseMs: 20_000,
    connections: 300,
    isHttp1: true,
    isClosed: false,
  },
  {
    name: "HTTP/1 requests with 15 KB of headers",
    next: () => Buffer.from(`GET /x HTTP/1.1\r\nhost: localhost\r\nx-big: ${"a".repeat(15_000)}\r\n\r\n`),
    pauseMs: 50,
    connections: 50,
    isHttp1: true,
    isClosed: false,
  },
];

/** Node gives up these connections. The server closes them when they don't answer a PING, 15 seconds after they fell silent. */
const isGivenUpByNode = ({ name }: Flood) => /malformed|many entries|reset at once/.test(name);
const isForTls = ({ name }: Flood) => /malformed|15 KB of headers that are reset/.test(name);

const ends: Parameters<OnEnd>[0][] = [];
const onEnd: OnEnd = (end) => void ends.push(end);
afterAll(async () => {
  for (const end of ends.reverse()) await end();
});

/** Resolve when the server has closed the connections that it must close. */
let closings: readonly Promise<unknown>[] = [];

test("T31 the process stays below twice its memory during floods, and serves its other clients", {
  timeout: rounds(120_000, 900_000),
}, async () => {
  const encrypted = { COUNTERSIGN_TLS_CERT: tls.cert.toString(), COUNTERSIGN_TLS_KEY: tls.key.toString() };
  const overTls = floods.filter(isForTls);
  // Connections that take a while to be closed go first.
  const withoutTls = [...floods].sort((a, b) => Number(isGivenUpByNode(b)) - Number(isGivenUpByNode(a)));
  const found = await Promise.all([flood(encrypted, overTls), flood({}, withoutTls)]);
  closings = found.flat();
});

/** Floods a new process. Returns promises for the closing of the connections that must be closed. */
async function flood(
  settings: Record<string, string>,
  floods: readonly Flood[],
): Promise<Promise<unknown>[]> {
  const data = { COUNTERSIGN_DATA_DIR: temporaryFolder(onEnd) };
  const server = await startCommand(["dev"], { ...data, ...settings }, onEnd);
  const pid = server.child.pid!;
  const ask = await openClient(server);
  for (let n = 0; n < 3_000; n += 50) await Promise.all(Array.from({ length: 50 }, ask));
  const baseline = residentBytes(pid);
  const memory = watchResidentBytes(pid);
  onTestFinished(memory.stop);
  const closings: Promise<unknown>[] = [];
  const peaks: Record<string, number> = {};
  for (const flood of floods) {
    const { closed, stop } = start(server, flood);
    for (const end = Date.now() + rounds(flood.attackMs ?? 600, 20_000); Date.now() < end; ) {
      expect(await ask(), flood.name).toBe(200);
      await sleep(20);
    }
    stop();
    peaks[flood.name] = Math.round((100 * memory.peak()) / baseline);
    if (flood.isClosed) closings.push(closed);
  }
  if (process.env.COUNTERSIGN_SOAK) console.log("memory in percent of that before the floods", peaks);
  for (const [name, percent] of Object.entries(peaks)) expect(percent, name).toBeLessThan(200);
  expect(residentBytes(pid) / baseline).toBeLessThan(2);
  expect(await (await openClient(server))()).toBe(200);
  expect(server.child.exitCode).toBeNull();
  return closings;
}

test("T31 a client that cancels 100 calls a second, opens 100 streams at once and sends long headers is served", async () => {
  const server = await startCommand(["dev"], { COUNTERSIGN_DATA_DIR: temporaryFolder() });
  const session = connectHttp2(server.origin);
  session.on("error", () => {});
  onTestFinished(() => session.destroy());
  const authorization = `Bearer ${await tokenOf(server)}`;
  const path = { ":path": "/v3alpha/users/demo-user", authorization };
  for (const end = Date.now() + rounds(3_000, 8_000); Date.now() < end; ) {
    for (let n = 0; n < 10; n++) {
      const stream = session.request(path);
      stream.on("error", () => {});
      if (n % 2 === 0) stream.close(8);
      else setTimeout(() => stream.close(8), 5);
    }
    await sleep(100);
  }
  // The user leaves a page while all of its calls are running.
  const left = Array.from({ length: 100 }, () => session.request(path));
  for (const stream of left) stream.on("error", () => {}).close(8);
  const all = Array.from({ length: 100 }, () =>
    sendHttp2(session, { ...path, "x-long": "a".repeat(14_000) }),
  );
  for (const { status } of await Promise.all(all)) expect(status).toBe(200);
  expect(session.closed).toBe(false);
});

test("T31 the server closes the connections of floods", { timeout: 60_000 }, async () => {
  expect(closings.length).toBeGreaterThan(0);
  await Promise.all(closings);
});

/** Waits for the token that the server prints. */
async function tokenOf(server: Running): Promise<string> {
  for (;;) {
    const token = /^TOKEN=(.+)$/m.exec(server.stdout())?.[1];
    if (token !== undefined) return token;
    await sleep(10);
  }
}

/** Opens an HTTP/2 connection. Returns a function that gets a user and returns the status of the reply. */
async function openClient(server: Running): Promise<() => Promise<number>> {
  const session = openHttp2({ origin: server.origin.replace("127.0.0.1", "localhost") });
  await once(session, "connect");
  const headers = { ":path": "/v3alpha/users/demo-user", authorization: `Bearer ${await tokenOf(server)}` };
  return async () => (await sendHttp2(session, headers)).status;
}

/** Floods the server until it is stopped. `closed` resolves when the server has closed the first connection. */
function start(server: Running, flood: Flood): { readonly closed: Promise<unknown>; stop(): void } {
  const { connections = 1, pauseMs = 0 } = flood;
  const sockets: Socket[] = [];
  const state = { isStopped: false };
  const open = async (): Promise<void> => {
    const socket = openSocket(server.origin, flood.isHttp1 ? "http/1.1" : "h2");
    sockets.push(socket.setMaxListeners(0));
    let stream = -1;
    const id = () => {
      stream += 2;
      return stream;
    };
    if (flood.isDeaf) socket.pause();
    else socket.resume();
    if (!flood.isHttp1) socket.write(hello);
    while (!state.isStopped && !socket.destroyed) {
      const isTaken = socket.write(flood.next(id));
      if (!isTaken) await Promise.race([once(socket, "drain"), once(socket, "close")]).catch(() => {});
      await sleep(pauseMs, undefined, { ref: false });
    }
    if (!state.isStopped) return open();
  };
  for (let n = 0; n < connections; n++) void open();
  // A client that reads nothing doesn't notice the end of its connection.
  const closed = new Promise((resolve) => sockets[0]!.once("close", resolve));
  const stop = () => {
    state.isStopped = true;
    if (flood.isClosed) return void sockets[0]!.resume();
    for (const socket of sockets) socket.destroy();
  };
  onEnd(() => {
    for (const socket of sockets) socket.destroy();
  });
  return { closed, stop };
}

function openSocket(origin: string, protocol: string): Socket {
  const { port, protocol: scheme } = new URL(origin);
  const socket =
    scheme === "https:"
      ? connectTls({
          port: Number(port),
          host: "127.0.0.1",
          servername: "localhost",
          ca: tls.cert,
          ALPNProtocols: [protocol],
        })
      : connectTcp(Number(port), "127.0.0.1");
  return socket.on("error", () => {});
}
