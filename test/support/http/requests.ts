import { readFileSync } from "node:fs";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { type ClientHttp2Session, connect as connectHttp2, type OutgoingHttpHeaders } from "node:http2";
import { request as httpsRequest } from "node:https";
import { connect as connectTcp, type Socket } from "node:net";
import type { Writable } from "node:stream";
import { connect as connectTls } from "node:tls";
import { onTestFinished } from "vitest";
import { type HttpServer, type HttpServerOptions, listen } from "../../../src/http/server.ts";

export const tls = {
  cert: readFileSync(new URL("./tls/cert.pem", import.meta.url)),
  key: readFileSync(new URL("./tls/key.pem", import.meta.url)),
};

export interface Transport {
  readonly name: string;
  readonly isTls: boolean;
  readonly isHttp2: boolean;
}

export const transports: readonly Transport[] = [
  { name: "HTTP/1.1", isTls: false, isHttp2: false },
  { name: "HTTP/1.1 over TLS", isTls: true, isHttp2: false },
  { name: "HTTP/2 with prior knowledge", isTls: false, isHttp2: true },
  { name: "HTTP/2 over TLS", isTls: true, isHttp2: true },
];

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Starts a server on a free port, and closes it when the test ends. The default handler answers "hello". */
export async function start(options: Partial<HttpServerOptions> = {}): Promise<HttpServer> {
  const handler: HttpServerOptions["handler"] = (_request, response) => {
    response.end("hello");
  };
  const server = await listen({ host: "127.0.0.1", port: 0, handler, ...options });
  onTestFinished(() => server.close(0));
  return server;
}

/** Opens a socket to the server, with TLS if the server uses it. Ignores errors, because they are followed by "close". */
export async function open(
  server: Pick<HttpServer, "origin" | "port">,
  alpn: readonly string[] = ["http/1.1"],
): Promise<Socket> {
  const isTls = server.origin.startsWith("https:");
  const socket = isTls
    ? connectTls({
        port: server.port,
        host: "127.0.0.1",
        servername: "localhost",
        ca: tls.cert,
        ALPNProtocols: [...alpn],
      })
    : connectTcp(server.port, "127.0.0.1");
  socket.on("error", () => {});
  onTestFinished(() => {
    socket.destroy();
  });
  await new Promise((resolve) => socket.once(isTls ? "secureConnect" : "connect", resolve));
  return socket;
}

/** Collects everything that arrives until the socket is closed. */
export function untilClosed(socket: Socket): Promise<string> {
  let received = "";
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
  });
  return new Promise((resolve) => socket.once("close", () => resolve(received)));
}

/** Collects what arrives until it contains `part`. Rejects if the socket is closed first. */
export function untilReceived(socket: Socket, part: string): Promise<string> {
  let received = "";
  return new Promise((resolve, reject) => {
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
      if (received.includes(part)) resolve(received);
    });
    socket.once("close", () => reject(new Error(`closed after ${JSON.stringify(received)}`)));
  });
}

/** Parses the single response in `received`. */
export function parseAnswer(received: string): { status: number; head: string; body: string } {
  const end = received.indexOf("\r\n\r\n");
  const head = received.slice(0, end);
  return { status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]), head, body: received.slice(end + 4) };
}

/** Opens an HTTP/2 connection, and closes it when the test ends. */
export function openHttp2(server: Pick<HttpServer, "origin">): ClientHttp2Session {
  const session = connectHttp2(server.origin, { ca: tls.cert });
  session.on("error", () => {});
  onTestFinished(() => session.destroy());
  return session;
}

/** Sends a request on an HTTP/2 connection. Rejects if the stream is reset. */
export function sendHttp2(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: body === undefined });
    let answer: IncomingHttpHeaders | undefined;
    let received = "";
    stream.setEncoding("utf8");
    stream.on("response", (fields) => {
      answer = fields;
    });
    stream.on("data", (chunk) => {
      received += chunk;
    });
    stream.on("error", reject);
    stream.on("close", () => {
      if (answer === undefined) return reject(new Error(`closed with ${stream.rstCode}`));
      resolve({ status: Number(answer[":status"]), headers: answer, body: received });
    });
    if (body !== undefined) stream.end(body);
  });
}

export interface Question {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Sends a request on a new connection. */
export async function send(
  server: HttpServer,
  transport: Transport,
  question: Question = {},
): Promise<Answer> {
  const { method = "GET", path = "/", headers = {}, body } = question;
  if (transport.isHttp2) {
    const session = openHttp2(server);
    try {
      return await sendHttp2(session, { ":method": method, ":path": path, ...headers }, body);
    } finally {
      session.close();
    }
  }
  return new Promise((resolve, reject) => {
    const options = { port: server.port, host: "localhost", family: 4, method, path, headers, agent: false };
    const request = transport.isTls ? httpsRequest({ ...options, ca: tls.cert }) : httpRequest(options);
    request.on("error", reject);
    request.on("response", (response) => {
      let received = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => {
        received += chunk;
      });
      response.on("error", reject);
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: received }),
      );
    });
    request.end(body);
  });
}

/** Writes a part of a reply. As a union, the two response types have no callable `write`. */
export function begin(response: Writable, part: string): void {
  response.write(part);
}
