import { describe, expect, test } from "vitest";
import { type Content, serveContent } from "../../src/pages/content.ts";
import { open, openHttp2, send, start, type Transport, tls, transports } from "../support/http/requests.ts";

const text = "the same for every client\n".repeat(100_000);

function startWith({ isTls }: Transport, read: Content["read"] = async () => Buffer.from(text)) {
  const headers = { "content-type": "text/plain; charset=utf-8" };
  return start({ ...(isTls ? { tls } : {}), handler: serveContent({ read, headers }) });
}

describe.each(transports)("content over $name", (transport) => {
  test("is sent as is to clients that do not accept compression", async () => {
    const server = await startWith(transport);
    const answer = await send(server, transport);
    expect(answer.body).toBe(text);
    expect(answer.headers).toMatchObject({
      "content-type": "text/plain; charset=utf-8",
      "content-length": String(text.length),
      vary: "Accept-Encoding",
    });
    expect(answer.headers["content-encoding"]).toBeUndefined();
  });

  test.each([
    ["gzip", true],
    ["br, GZIP;q=0.5", true],
    ["gzip; q=1.0", true],
    ["gzip;q=0", false],
    ["gzip;q=0.0, br", false],
    ["br", false],
    ["xgzip", false],
    ["", false],
  ])("for Accept-Encoding %j: gzip %s", async (accepted, isGzip) => {
    const server = await startWith(transport);
    const headers = { "accept-encoding": accepted };
    const answer = await send(server, transport, { method: "HEAD", headers });
    expect(answer).toMatchObject({ status: 200, body: "" });
    expect(answer.headers["content-encoding"]).toBe(isGzip ? "gzip" : undefined);
    expect(Number(answer.headers["content-length"]) < text.length / 10).toBe(isGzip);
  });

  test.each<[string, (etag: string) => string, number]>([
    ["the tag", (etag) => etag, 304],
    ["the tag as a strong one", (etag) => etag.replace("W/", ""), 304],
    ["the tag among others", (etag) => `"x", ${etag}`, 304],
    ["*", () => "*", 304],
    ["another tag", () => '"x"', 200],
    ["a prefix of the tag", (etag) => etag.slice(0, -2), 200],
  ])("for If-None-Match with %s: %d", async (_name, tagFrom, status) => {
    const server = await startWith(transport);
    const { etag = "" } = (await send(server, transport)).headers;
    const answer = await send(server, transport, { headers: { "if-none-match": tagFrom(etag) } });
    expect(answer).toMatchObject({ status, body: status === 304 ? "" : text });
    expect(answer.headers.etag).toBe(etag);
  });

  test("is read once, and again only after a failure", async () => {
    let reads = 0;
    const server = await startWith(transport, async () => {
      if (++reads === 1) throw new Error("no such file");
      return Buffer.from(text);
    });
    await expect(send(server, transport)).rejects.toThrow();
    for (let i = 0; i < 3; i++) expect((await send(server, transport)).body).toBe(text);
    expect(reads).toBe(2);
  });

  test("survives a client that leaves halfway", async () => {
    const server = await startWith(transport);
    if (transport.isHttp2) {
      const session = openHttp2(server);
      const stream = session.request({ ":path": "/" }).on("error", () => {});
      await new Promise((resolve) => stream.once("data", resolve));
      session.destroy();
    } else {
      const socket = await open(server);
      socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
      await new Promise((resolve) => socket.once("data", resolve));
      socket.destroy();
    }
    expect((await send(server, transport)).body).toBe(text);
  });
});
