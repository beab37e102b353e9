import { describe, expect, test } from "vitest";
import { createPages, type PagesOptions } from "../../src/pages/pages.ts";
import { open, openHttp2, send, start, type Transport, tls, transports } from "../support/http/requests.ts";

function startWith(options: Partial<PagesOptions>, { isTls }: Transport) {
  const pages = createPages({ ready: async () => true, ...options });
  return start({
    ...(isTls ? { tls } : {}),
    handler: (request, response) => {
      if (!pages(request, response)) response.writeHead(404).end("no page");
    },
  });
}

describe.each(transports)("$name", (transport) => {
  test("/healthz is ok", async () => {
    const server = await startWith({}, transport);
    const answer = await send(server, transport, { path: "/healthz" });
    expect(answer).toMatchObject({ status: 200, body: "ok" });
    expect(answer.headers).toMatchObject({
      "content-type": "text/plain; charset=utf-8",
      "cache-control": "no-store",
    });
  });

  test.each<[string, () => Promise<boolean>, number]>([
    ["who is asked says yes", async () => true, 200],
    ["who is asked says no", async () => false, 503],
    [
      "who is asked fails",
      async () => {
        throw new Error("secret");
      },
      503,
    ],
    [
      "who is asked throws at once",
      () => {
        throw new Error("secret");
      },
      503,
    ],
    ["who is asked does not answer", () => new Promise(() => {}), 503],
  ])("/readyz where %s", async (_name, ready, status) => {
    const server = await startWith({ ready }, transport);
    const answer = await send(server, transport, { path: "/readyz" });
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toEqual({ ready: status === 200 });
    expect(answer.headers).toMatchObject({ "content-type": "application/json", "cache-control": "no-store" });
  });

  test("/readyz survives a client that does not wait for it", async () => {
    let asked = () => {};
    const arrived = new Promise<void>((resolve) => {
      asked = resolve;
    });
    let answer = (_ready: boolean) => {};
    const answered = new Promise<boolean>((resolve) => {
      answer = resolve;
    });
    const ready = () => {
      asked();
      return answered;
    };
    const server = await startWith({ ready }, transport);
    if (transport.isHttp2) {
      const session = openHttp2(server);
      session.request({ ":path": "/readyz" }).on("error", () => {});
      await arrived;
      session.destroy();
    } else {
      const socket = await open(server);
      socket.write("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
      await arrived;
      socket.destroy();
    }
    answer(true);
    expect((await send(server, transport, { path: "/healthz" })).status).toBe(200);
  });

  test.each(["/healthz", "/readyz"])("%s answers HEAD with the headers of GET alone", async (path) => {
    const server = await startWith({}, transport);
    const get = await send(server, transport, { path });
    const head = await send(server, transport, { method: "HEAD", path });
    expect(head).toMatchObject({ status: get.status, body: "" });
    expect(head.headers["content-type"]).toBe(get.headers["content-type"]);
    expect(head.headers["content-length"]).toBe(`${Buffer.byteLength(get.body)}`);
  });

  test.each(["/healthz", "/readyz"])("%s refuses other methods", async (path) => {
    const server = await startWith({}, transport);
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

  test.each([
    "/",
    "/healthz/",
    "//healthz",
    "/HEALTHZ",
    "/%68ealthz",
    "/readyz/x",
    "/healthz;x",
    "/x?/healthz",
  ])("has no page at %s", async (path) => {
    const server = await startWith({}, transport);
    expect(await send(server, transport, { path })).toMatchObject({ status: 404, body: "no page" });
  });

  test("serves further pages, which come first", async () => {
    const server = await startWith(
      {
        extra: new Map([
          ["/dev", (_request, response) => void response.end("dev")],
          ["/readyz", (_request, response) => void response.end("mine")],
        ]),
      },
      transport,
    );
    expect((await send(server, transport, { path: "/dev?to=x" })).body).toBe("dev");
    expect((await send(server, transport, { path: "/readyz" })).body).toBe("mine");
    expect((await send(server, transport, { path: "/healthz" })).body).toBe("ok");
  });
});
