import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { createFileRegistry } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { credentials, makeGenericClientConstructor, type ServiceError, status } from "@grpc/grpc-js";
import { service } from "grpc-health-check";
import { describe, expect, it, onTestFinished } from "vitest";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../gen/health/v1/health_pb.ts";
import { createHealth } from "../../src/api/health.ts";
import { logCalls } from "../../src/api/log-calls.ts";
import { listen } from "../../src/http/server.ts";
import { createLog } from "../../src/lib/log.ts";
import { bind, createWire, protocolOf } from "../../src/wire/wire.ts";
import { startTestApp } from "../support/app.ts";

const user = "countersign.user.v3alpha.UserService";

const transports = [
  ["gRPC", (baseUrl: string) => createGrpcTransport({ baseUrl })],
  ["gRPC-Web", (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
  ["Connect", (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
] as const;

/** Serves Health with a readiness that the test controls. */
async function serve(limits: { watchersMax?: number } = {}) {
  const state = { isReady: true as boolean | Promise<boolean>, asked: 0 };
  const isReady = async () => {
    state.asked += 1;
    return state.isReady;
  };
  const health = createHealth({ services: [user], isReady, pollMs: 10, ...limits });
  const interceptors = [
    logCalls({ log: createLog("silent"), isStorageUnavailable: () => false, protocolOf }),
  ];
  const handler = createWire({ services: [bind(Health, health.implementation)], interceptors });
  const server = await listen({ host: "127.0.0.1", port: 0, handler });
  onTestFinished(() => server.close(0));
  return { state, health, origin: server.origin, server };
}

function watchStatus(origin: string, service = "", signal?: AbortSignal) {
  const client = createClient(Health, createGrpcTransport({ baseUrl: origin }));
  const replies = client.watch({ service }, signal ? { signal } : {})[Symbol.asyncIterator]();
  return async () => (await replies.next()).value?.status;
}

describe.each(transports)("health over %s", (_name, transport) => {
  it("needs no token", async () => {
    const { origin } = await startTestApp();
    const client = createClient(Health, transport(origin));
    for (const service of ["", user]) expect((await client.check({ service })).status).toBe(Status.SERVING);
    const { statuses } = await client.list({});
    expect(Object.keys(statuses)).toEqual(["", user, "countersign.user.v3alpha.ChallengeService"]);
    await expect(client.check({ service: "other.Service" })).rejects.toMatchObject({ code: Code.NotFound });
    for await (const { status } of client.watch({ service: user })) {
      expect(status).toBe(Status.SERVING);
      break;
    }
  });
});

describe("the client of @grpc/grpc-js", () => {
  const Client = makeGenericClientConstructor(service, "Health");

  it("checks, and watches until the service stops", async () => {
    const { origin, app } = await startTestApp();
    const client = new Client(new URL(origin).host, credentials.createInsecure());
    onTestFinished(() => client.close());
    const check = (name: string) =>
      new Promise((resolve, reject) => {
        client.check!({ service: name }, (error: ServiceError | null, reply: unknown) =>
          error ? reject(error) : resolve(reply),
        );
      });
    expect(await check(user)).toEqual({ status: "SERVING" });
    await expect(check("other.Service")).rejects.toMatchObject({ code: status.NOT_FOUND });
    const received: unknown[] = [];
    const replies = client.watch!({ service: "" });
    replies.on("data", (reply: unknown) => received.push(reply));
    const ended = once(replies, "end");
    await expect.poll(() => received).toEqual([{ status: "SERVING" }]);
    await app[Symbol.asyncDispose]();
    await ended;
    expect(received).toEqual([{ status: "SERVING" }, { status: "NOT_SERVING" }]);
  });
});

describe("a watcher", () => {
  it("receives each change, and SERVICE_UNKNOWN for an unknown service", async () => {
    const { state, origin } = await serve();
    const next = watchStatus(origin);
    expect(await next()).toBe(Status.SERVING);
    state.isReady = false;
    expect(await next()).toBe(Status.NOT_SERVING);
    state.isReady = true;
    expect(await next()).toBe(Status.SERVING);
    expect(await watchStatus(origin, "other.Service")()).toBe(Status.SERVICE_UNKNOWN);
  });

  it("receives NOT_SERVING when the service stops, and its stream ends", async () => {
    const { health, origin, server } = await serve();
    const next = watchStatus(origin);
    expect(await next()).toBe(Status.SERVING);
    health.stop();
    expect(await next()).toBe(Status.NOT_SERVING);
    expect(await next()).toBeUndefined();
    // Would time out if a connection was left.
    await server.close(120_000);
  });

  it("does not receive SERVING from a check that ends after the service has stopped", async () => {
    const { state, health, origin } = await serve();
    let finishCheck = (_isReady: boolean) => {};
    state.isReady = new Promise((resolve) => {
      finishCheck = resolve;
    });
    const next = watchStatus(origin);
    const first = next();
    await expect.poll(() => state.asked).toBe(1);
    health.stop();
    finishCheck(true);
    expect([await first, await next()]).toEqual([Status.NOT_SERVING, undefined]);
  });

  it("causes no checks after it has left", async () => {
    const { state, origin } = await serve();
    const leave = new AbortController();
    const next = watchStatus(origin, "", leave.signal);
    expect(await next()).toBe(Status.SERVING);
    leave.abort();
    await expect(next()).rejects.toThrow();
    await sleep(100);
    const asked = state.asked;
    await sleep(100);
    expect(state.asked).toBe(asked);
  });

  it("is refused if there are too many", async () => {
    const { origin } = await serve({ watchersMax: 1 });
    expect(await watchStatus(origin)()).toBe(Status.SERVING);
    await expect(watchStatus(origin)()).rejects.toMatchObject({ code: Code.ResourceExhausted });
  });
});

// The shutdown waits up to 25 seconds for calls in flight.
it("a watcher does not delay the shutdown, and is logged with one line", {
  timeout: 15_000,
}, async () => {
  const { origin, app, logLines } = await startTestApp();
  const next = watchStatus(origin);
  expect(await next()).toBe(Status.SERVING);
  const rest = Promise.all([next(), next()]);
  await app[Symbol.asyncDispose]();
  expect(await rest).toEqual([Status.NOT_SERVING, undefined]);
  const lines = logLines.map((line) => JSON.parse(line)).filter(({ method }) => method === "Health.Watch");
  expect(lines).toMatchObject([{ msg: "call", protocol: "grpc", code: "OK" }]);
});

it("a stream is logged as canceled if its client disconnects", async () => {
  const { origin, logLines } = await startTestApp();
  const leave = new AbortController();
  const next = watchStatus(origin, "", leave.signal);
  await next();
  leave.abort();
  await expect.poll(() => logLines.filter((line) => line.includes("Health.Watch"))).toHaveLength(1);
  expect(logLines.find((line) => line.includes("Health.Watch"))).toContain('"code":"Canceled"');
});

it("the descriptor is named grpc.health.v1.Health", () => {
  expect(
    createFileRegistry(Health.file.proto, () => undefined).getService("grpc.health.v1.Health"),
  ).toBeDefined();
});
