import { describe, expect, test } from "vitest";
import { healthPages } from "../../src/pages/health-pages.ts";
import { createPages } from "../../src/pages/pages.ts";
import { MovableClock } from "../support/clock.ts";
import { open, openHttp2, send, start, type Transport, tls, transports } from "../support/http/requests.ts";

const clock = new MovableClock();

function startWith({ isTls }: Transport, ready: () => Promise<boolean> = async () => true) {
  const handler = createPages({
    pages: healthPages({ ready, clock }),
    cors: () => false,
    next: (_request, response) => void response.writeHead(404).end(),
  });
  return start({ ...(isTls ? { tls } : {}), handler });
}

/** A promise and the function that resolves it. */
function deferred<T>() {
  let resolve = (_value: T) => {};
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

describe.each(transports)("$name", (transport) => {
  test("/healthz answers ok", async () => {
    const server = await startWith(transport);
    const answer = await send(server, transport, { path: "/healthz" });
    expect(answer).toMatchObject({ status: 200, body: "ok" });
    expect(answer.headers).toMatchObject({
      "content-type": "text/plain; charset=utf-8",
      "cache-control": "no-store",
    });
  });

  test.each<[string, () => Promise<boolean>, number]>([
    ["200 if the service is ready", async () => true, 200],
    ["503 if it is not", async () => false, 503],
    [
      "503 if the check rejects",
      async () => {
        throw new Error("secret");
      },
      503,
    ],
    [
      "503 if the check throws",
      () => {
        throw new Error("secret");
      },
      503,
    ],
  ])("/readyz answers %s", async (_name, ready, status) => {
    const server = await startWith(transport, ready);
    const answer = await send(server, transport, { path: "/readyz" });
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toEqual({ ready: status === 200 });
    expect(answer.headers).toMatchObject({ "content-type": "application/json", "cache-control": "no-store" });
  });

  test("/readyz answers 503 if the check takes 2 seconds, and not before", async () => {
    const asked = deferred<void>();
    const server = await startWith(transport, () => {
      asked.resolve();
      return new Promise(() => {});
    });
    let isAnswered = false;
    const answering = send(server, transport, { path: "/readyz" }).finally(() => {
      isAnswered = true;
    });
    await asked.promise;
    clock.move(1_999);
    expect((await send(server, transport, { path: "/healthz" })).status).toBe(200);
    expect(isAnswered).toBe(false);
    clock.move(1);
    const answer = await answering;
    expect(answer.status).toBe(503);
    expect(JSON.parse(answer.body)).toEqual({ ready: false });
    expect(answer.headers).toMatchObject({ "content-type": "application/json", "cache-control": "no-store" });
  });

  test("/readyz survives a client that leaves before the answer", async () => {
    const asked = deferred<void>();
    const answer = deferred<boolean>();
    const server = await startWith(transport, () => {
      asked.resolve();
      return answer.promise;
    });
    if (transport.isHttp2) {
      const session = openHttp2(server);
      session.request({ ":path": "/readyz" }).on("error", () => {});
      await asked.promise;
      session.destroy();
    } else {
      const socket = await open(server);
      socket.write("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
      await asked.promise;
      socket.destroy();
    }
    answer.resolve(true);
    expect((await send(server, transport, { path: "/healthz" })).status).toBe(200);
  });

  test.each(["/healthz", "/readyz"])("%s answers HEAD with only the headers of GET", async (path) => {
    const server = await startWith(transport);
    const get = await send(server, transport, { path });
    const head = await send(server, transport, { method: "HEAD", path });
    expect(head).toMatchObject({ status: get.status, body: "" });
    expect(head.headers["content-type"]).toBe(get.headers["content-type"]);
    expect(head.headers["content-length"]).toBe(`${Buffer.byteLength(get.body)}`);
  });

  test.each(["/healthz", "/readyz"])("%s refuses other methods", async (path) => {
    const server = await startWith(transport);
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
      const answer = await send(server, transport, { method, path });
      expect(answer.status).toBe(405);
      expect(answer.headers.allow).toBe("GET, HEAD");
      expect(JSON.parse(answer.body)).toMatchObject({
        code: 12,
        details: [{ reason: "METHOD_NOT_ALLOWED" }],
      });
    }
  });
});
