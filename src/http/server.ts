import { once } from "node:events";
import { type AddressInfo, createServer, isIP, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { guard } from "./guard.ts";
import { createHttp1 } from "./http1.ts";
import { createHttp2 } from "./http2.ts";
import { defaultLimits, type HttpLimits } from "./limits.ts";
import { readPreface } from "./preface.ts";
import type { NodeHandler } from "./reply.ts";
import { createFaultReporter, type OnError } from "./report-fault.ts";

export type { HttpLimits } from "./limits.ts";
export type { NodeHandler } from "./reply.ts";

export interface HttpServerOptions {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  /** Certificate chain and private key in PEM. Without them, connections are not encrypted. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer };
  /** Called for requests that pass the checks. If it throws, the request is answered with 500 and the error is reported. */
  readonly handler: NodeHandler;
  /**
   * Logs errors: all errors of the handler, and every 10 seconds one of each kind that clients can cause. The latter never
   * contain anything that a client has sent.
   */
  readonly onError?: OnError;
  readonly limits?: Partial<HttpLimits>;
}

export interface HttpServer {
  readonly port: number;
  /** The URL on this machine, such as `http://127.0.0.1:8080`. */
  readonly origin: string;
  /**
   * Stops accepting connections, finishes requests in flight, and destroys the remaining connections after `graceMs`.
   * Resolves when all are closed. Calling it again can shorten the remaining time.
   */
  close(graceMs: number): Promise<void>;
}

/**
 * Serves HTTP/1.1 and HTTP/2 on one port. The version is negotiated with ALPN over TLS, and detected from the first bytes of
 * a connection otherwise.
 *
 * No client input can end the process.
 *
 * @throws Error if the address can't be bound, the certificate or key is invalid, or headersTimeoutMs exceeds
 * requestTimeoutMs.
 */
export async function listen(options: HttpServerOptions): Promise<HttpServer> {
  const limits = { ...defaultLimits, ...options.limits };
  const { onError = () => {} } = options;
  const reportFault = createFaultReporter(onError, 10_000);
  const serve = guard(options.handler, limits, onError);
  const sockets = new Set<Socket>();
  const undecided = new Set<Socket>();
  let closed: Promise<void> | undefined;

  const accept = (socket: Socket, isHttp2: boolean) => {
    if (closed !== undefined) return socket.destroy();
    (isHttp2 ? http2 : http1).accept(socket);
  };
  const track = (socket: Socket) => {
    // An "error" event without a listener would end the process. It is always followed by "close".
    socket.on("error", () => {});
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  };

  const tcp = { noDelay: true, keepAlive: true, keepAliveInitialDelay: limits.idleTimeoutMs };

  function createPlainFront(): Server {
    // Half-open, like the server of node:http: a client that ends its side too early still gets a reply.
    const server = createServer({ ...tcp, allowHalfOpen: true });
    return server.on("connection", (socket) => {
      track(socket);
      undecided.add(socket);
      socket.once("close", () => undecided.delete(socket));
      readPreface(socket, limits.headersTimeoutMs, (isHttp2) => {
        undecided.delete(socket);
        accept(socket, isHttp2);
      });
    });
  }

  function createTlsFront(tls: NonNullable<HttpServerOptions["tls"]>): Server {
    const server = createTlsServer({
      ...tcp,
      ...tls,
      minVersion: "TLSv1.2",
      ALPNProtocols: ["h2", "http/1.1"],
      handshakeTimeout: limits.headersTimeoutMs,
    });
    server.on("connection", track);
    server.on("secureConnection", (socket: TLSSocket) => {
      track(socket);
      // RFC 9113 §9.2.1 forbids renegotiation for HTTP/2, and HTTP/1 doesn't need it.
      socket.disableRenegotiation();
      socket.pause();
      accept(socket, socket.alpnProtocol === "h2");
    });
    server.on("tlsClientError", (error, socket) => {
      reportFault(error, "a TLS handshake failed");
      socket.destroy();
    });
    return server;
  }

  const front = options.tls ? createTlsFront(options.tls) : createPlainFront();
  const http1 = createHttp1(serve, limits, reportFault);
  const http2 = createHttp2(serve, limits, reportFault);
  front.maxConnections = limits.connectionsMax;
  front.on("drop", () => reportFault(new Error("too many connections"), "a connection was refused"));

  try {
    front.listen({ host: options.host, port: options.port });
    await once(front, "listening");
  } catch (error) {
    http1.stop();
    http2.stop();
    throw error;
  }
  // Such as EMFILE when accepting a connection, which can be temporary.
  front.on("error", (error) => reportFault(error, "the listener failed"));
  const { port } = front.address() as AddressInfo;

  return {
    port,
    origin: `${options.tls ? "https" : "http"}://${hostOf(options.host)}:${port}`,
    async close(graceMs) {
      if (closed === undefined) {
        closed = new Promise((resolve) => {
          front.close(() => resolve());
        });
        for (const socket of undecided) socket.destroy();
        http1.drain();
        http2.drain();
      }
      const timer = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, graceMs);
      await closed;
      clearTimeout(timer);
      http1.stop();
      http2.stop();
    },
  };
}

/** The host for a URL. A wildcard address isn't one that clients can connect to. */
function hostOf(host: string): string {
  if (host === "" || host === "0.0.0.0" || host === "::") return "localhost";
  return isIP(host) === 6 ? `[${host}]` : host;
}
