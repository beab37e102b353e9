import { describe, expect, test } from "vitest";
import type { HttpServer } from "../../src/http/server.ts";
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

const http1 = transports.filter(({ isHttp2 }) => !isHttp2);
const http2 = transports.filter(({ isHttp2 }) => isHttp2);

/** Starts a server that counts the requests that pass the guard. */
async function startCounting(isTls: boolean) {
  const count = { handled: 0 };
  const server = await start({
    ...(isTls ? { tls } : {}),
    handler: (request, response) => {
      count.handled += 1;
      request.resume().on("end", () => response.end("hello"));
    },
  });
  return { server, count };
}

async function sendRaw(server: HttpServer, request: string) {
  const socket = await open(server);
  const received = untilClosed(socket);
  socket.write(Buffer.from(request, "latin1"));
  return parseAnswer(await received);
}

function statusOf(body: string) {
  const status = JSON.parse(body);
  expect(status).toEqual({
    code: expect.any(Number),
    message: expect.any(String),
    details: [
      {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        reason: expect.any(String),
        domain: "countersign",
        metadata: {},
      },
    ],
  });
  return { code: status.code, reason: status.details[0].reason };
}

describe.each(http1)("$name", (transport) => {
  const long = "a".repeat(8_200);

  test.each([
    ["Host: [", "GET / HTTP/1.1\r\nHost: [\r\n\r\n", 400, 3, "REQUEST_MALFORMED"],
    ["Host: a b", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, 3, "REQUEST_MALFORMED"],
    ["Host: x:99999", "GET / HTTP/1.1\r\nHost: x:99999\r\n\r\n", 400, 3, "REQUEST_MALFORMED"],
    ["an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, 3, "REQUEST_MALFORMED"],
    ["HTTP/1.1 without Host", "GET / HTTP/1.1\r\n\r\n", 400, 3, "REQUEST_MALFORMED"],
    ["HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", 400, 3, "REQUEST_MALFORMED"],
    ["two different Hosts", "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", 400, 3, "REQUEST_MALFORMED"],
    ["the same Host twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, 3, "REQUEST_MALFORMED"],
    [
      "a second Host after 2,100 fields",
      `GET / HTTP/1.1\r\nHost: a\r\n${"a:b\r\n".repeat(2_100)}Host: b\r\n\r\n`,
      400,
      3,
      "REQUEST_MALFORMED",
    ],
    ["TRACE", "TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 501, 12, "UNIMPLEMENTED"],
    ["CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501, 12, "UNIMPLEMENTED"],
    ["an unknown method", "BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, 3, "REQUEST_MALFORMED"],
    ["a long target", `GET /${long} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 414, 8, "REQUEST_TOO_LARGE"],
    [
      "large header fields",
      `GET / HTTP/1.1\r\nHost: localhost\r\n${`a: ${long}\r\n`.repeat(2)}\r\n`,
      431,
      8,
      "REQUEST_TOO_LARGE",
    ],
    [
      "large chunk extensions",
      `POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2;${"a".repeat(20_000)}`,
      413,
      8,
      "REQUEST_TOO_LARGE",
    ],
    [
      "an unknown expectation",
      "GET / HTTP/1.1\r\nHost: localhost\r\nExpect: payment\r\n\r\n",
      417,
      3,
      "REQUEST_MALFORMED",
    ],
    [
      "two lengths",
      "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      400,
      3,
      "REQUEST_MALFORMED",
    ],
    [
      "a length and an encoding",
      "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      400,
      3,
      "REQUEST_MALFORMED",
    ],
    [
      "a line break in a field",
      "GET / HTTP/1.1\r\nHost: localhost\r\nA: b\rC: d\r\n\r\n",
      400,
      3,
      "REQUEST_MALFORMED",
    ],
    ["a NUL in a field", "GET / HTTP/1.1\r\nHost: localhost\r\nA: b\0\r\n\r\n", 400, 3, "REQUEST_MALFORMED"],
    ["a space before the colon", "GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", 400, 3, "REQUEST_MALFORMED"],
    ["an unknown version", "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", 400, 3, "REQUEST_MALFORMED"],
  ])("refuses %s and keeps serving", async (_name, request, status, code, reason) => {
    const { server, count } = await startCounting(transport.isTls);
    const answer = await sendRaw(server, request);
    expect(answer.status).toBe(status);
    expect(answer.head.toLowerCase()).toContain("content-type: application/json");
    expect(answer.head.toLowerCase()).toContain("cache-control: no-store");
    expect(answer.head.toLowerCase()).toContain("connection: close");
    expect(answer.head.toLowerCase()).toContain(`content-length: ${answer.body.length}`);
    expect(statusOf(answer.body)).toEqual({ code, reason });
    expect(count.handled).toBe(status === 413 ? 1 : 0);

    expect(await send(server, transport)).toMatchObject({ status: 200, body: "hello" });
  });

  test("accepts HTTP/1.0 with a Host", async () => {
    const { server } = await startCounting(transport.isTls);
    expect(await sendRaw(server, "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")).toMatchObject({ status: 200 });
  });

  test("answers two pipelined requests in order", async () => {
    const server = await start({
      ...(transport.isTls ? { tls } : {}),
      handler: (request, response) => {
        const send = () => response.end(`[${request.url}]`);
        if (request.url === "/a") setImmediate(send);
        else send();
      },
    });
    const socket = await open(server);
    const received = untilClosed(socket);
    socket.write(
      "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\nGET /b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    expect((await received).match(/\[.*?\]/g)).toEqual(["[/a]", "[/b]"]);
  });

  test("sends no reply to a malformed request while another reply is pending", async () => {
    const server = await start({ ...(transport.isTls ? { tls } : {}), handler: () => {} });
    const socket = await open(server);
    const received = untilClosed(socket);
    socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\nmalformed\r\n\r\n");
    expect(await received).toBe("");
  });

  test("answers once if a request turns out to be malformed after its reply has started", async () => {
    const server = await start({
      ...(transport.isTls ? { tls } : {}),
      handler: (request, response) => {
        begin(response, "begun");
        request.resume();
      },
    });
    const socket = await open(server);
    const received = untilClosed(socket);
    const begun = untilReceived(socket, "begun");
    socket.write("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    await begun;
    socket.write("not a chunk\r\n\r\n");
    expect((await received).match(/HTTP\/1\.1 /g)).toHaveLength(1);
  });

  test("answers endless garbage once", async () => {
    const { server } = await startCounting(transport.isTls);
    const socket = await open(server);
    const received = untilClosed(socket);
    socket.write("garbage\r\n\r\n");
    const more = setInterval(() => socket.write("more garbage\r\n\r\n".repeat(1_000)), 10);
    expect((await received).match(/HTTP\/1\.1 /g) ?? []).toHaveLength(1);
    clearInterval(more);
  });

  test("reports a malformed request without its content", async () => {
    const reports: unknown[] = [];
    const server = await start({
      ...(transport.isTls ? { tls } : {}),
      onError: (error, what) => reports.push([what, error, Object.entries(error as object)]),
    });
    await sendRaw(server, "GET / HTTP/1.1\r\nAuthorization: Bearer secret\r\nA : b\r\n\r\n");
    await sendRaw(server, "GET / HTTP/1.1\r\nAuthorization: Bearer secret\r\nA : b\r\n\r\n");
    expect(reports).toEqual([
      ["a client sent an invalid HTTP/1 request", new Error("HPE_INVALID_HEADER_TOKEN"), []],
    ]);
  });
});

describe.each(http2)("$name", (transport) => {
  test.each([
    ['authority "["', { ":authority": "[" }, 400, 3],
    ["authority x:99999", { ":authority": "x:99999" }, 400, 3],
    ["authority 256.256.256.256", { ":authority": "256.256.256.256" }, 400, 3],
    ["a Host that differs", { ":authority": "a", host: "b" }, 400, 3],
    ["TRACE", { ":method": "TRACE" }, 501, 12],
    ["a long target", { ":path": `/${"a".repeat(8_200)}` }, 414, 8],
    ["an unknown expectation", { expect: "payment" }, 417, 3],
  ])("refuses %s and serves the next request of the connection", async (_name, headers, status, code) => {
    const { server, count } = await startCounting(transport.isTls);
    const session = openHttp2(server);
    const answer = await sendHttp2(session, headers);
    expect(answer.status).toBe(status);
    expect(answer.headers).toMatchObject({ "content-type": "application/json", "cache-control": "no-store" });
    expect(statusOf(answer.body).code).toBe(code);
    expect(count.handled).toBe(0);

    expect(await sendHttp2(session, {})).toMatchObject({ status: 200, body: "hello" });
  });

  test.each([
    ["authority a b", { ":authority": "a b" }],
    ["a user in the authority", { ":authority": "user@x" }],
    ["200 header fields", Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`a${n}`, "b"]))],
    ["a target without a slash", { ":path": "a" }],
  ])("resets or refuses a stream with %s and keeps serving", async (_name, headers) => {
    const { server } = await startCounting(transport.isTls);
    await sendHttp2(openHttp2(server), headers).then(
      ({ status }) => expect(status).toBe(400),
      (error) => expect(error.message).toMatch(/NGHTTP2_(PROTOCOL_ERROR|ENHANCE_YOUR_CALM)/),
    );
    expect(await send(server, transport)).toMatchObject({ status: 200 });
  });

  test.each([
    ["one large header field", { a: "b".repeat(16_300) }],
    [
      "many header fields",
      Object.fromEntries(Array.from({ length: 110 }, (_, n) => [`a${n}`, "b".repeat(120)])),
    ],
  ])("refuses %s, before and after the client knows the limit", async (_name, headers) => {
    const { server, count } = await startCounting(transport.isTls);
    const session = openHttp2(server);
    expect(await sendHttp2(session, headers)).toMatchObject({ status: 431 });
    await expect(sendHttp2(session, headers)).rejects.toThrow("NGHTTP2_ENHANCE_YOUR_CALM");
    expect(count.handled).toBe(0);
    expect(await sendHttp2(session, {})).toMatchObject({ status: 200 });
  });

  test("refuses CONNECT", async () => {
    const { server, count } = await startCounting(transport.isTls);
    const session = openHttp2(server);
    const stream = session.request({ ":method": "CONNECT", ":authority": "a:443" });
    const status = await new Promise((resolve) =>
      stream.on("response", (headers) => resolve(headers[":status"])),
    );
    expect(status).toBe(501);
    expect(count.handled).toBe(0);
  });

  test("accepts a Host that equals the authority", async () => {
    const { server } = await startCounting(transport.isTls);
    const answer = await sendHttp2(openHttp2(server), { ":authority": "a:1", host: "A:1" });
    expect(answer.status).toBe(200);
  });

  test("answers HEAD with only the headers of the refusal", async () => {
    const { server } = await startCounting(transport.isTls);
    const answer = await sendHttp2(openHttp2(server), { ":method": "HEAD", ":authority": "[" });
    expect(answer).toMatchObject({ status: 400, body: "" });
  });
});
