import { once } from "node:events";
import { type AddressInfo, createServer, isIP, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { guard } from "./guard.ts";
import { createHttp1 } from "./http1.ts";
import { createHttp2 } from "./http2.ts";
import { defaultLimits, type HttpLimits } from "./limits.ts";
import { readPreface } from "./preface.ts";
import type { NodeHandler } from "./reply.ts";
import { createFaultReporter, type OnError } from "./report.ts";

export type { HttpLimits } from "./limits.ts";
export type { NodeHandler } from "./reply.ts";

export interface HttpServerOptions {
  readonly host: string;
  /** 0 for a free one. */
  readonly port: number;
  /** Certificate chain and private key, as PEM. Without them nothing is encrypted. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer };
  /** Called for requests that passed the checks. What it throws is answered with 500 and reported. */
  readonly handler: NodeHandler;
  /**
   * Told of errors, for the log: of each one of the handler, and once in 10 seconds of each kind that clients can cause.
   * The server itself puts nothing into them that a client sent.
   */
  readonly onError?: OnError;
  readonly limits?: Partial<HttpLimits>;
}

export interface HttpServer {
  readonly port: number;
  /** Where it is reached on this machine, such as `http://127.0.0.1:8080`. */
  readonly origin: string;
  /**
   * Takes no new connections, lets requests in flight finish, and destroys what is left after `graceMs`. Resolves when
   * all is closed. A further call can shorten the time that is left.
   */
  close(graceMs: number): Promise<void>;
}

/**
 * Listens on one port for HTTP/1.1 and HTTP/2: with TLS by ALPN, without by the first bytes of each connection.
 *
 * Nothing that a client sends ends the process.
 *
 * @throws if the address cannot be listened on, the certificate and key are not valid, or a header may take longer than
 * the whole request.
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
    // An error that nobody listens to ends the process; every one of a socket is followed by its "close".
    socket.on("error", () => {});
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  };

  const tcp = { noDelay: true, keepAlive: true, keepAliveInitialDelay: limits.idleTimeoutMs };

  function createPlainFront(): Server {
    // Half-open as the server of node:http has it: a client that ends too early is told so.
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
      // RFC 9113 §9.2.1 forbids it for HTTP/2, and HTTP/1 needs it as little.
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
  // Such as EMFILE when a connection is accepted: it may pass.
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

/** The host in a URL. An address that stands for all of the machine is no address to connect to. */
function hostOf(host: string): string {
  if (host === "" || host === "0.0.0.0" || host === "::") return "localhost";
  return isIP(host) === 6 ? `[${host}]` : host;
}
