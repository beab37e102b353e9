import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { ConnectionHandler } from "./connection-handler.ts";
import { type Guarded, refuse } from "./guard.ts";
import {
  chunksTooLarge,
  expectationUnknown,
  type HttpRefusal,
  headersTooLarge,
  malformed,
  methodUnsupported,
  refusalBytes,
  tooSlow,
} from "./http-refusal.ts";
import { checkIntervalMs, type HttpLimits, lingerMs } from "./limits.ts";
import type { ReportFault } from "./report-fault.ts";

interface Connection {
  /** Number of unfinished responses. More than one if requests are pipelined. */
  pending: number;
  /** The response to the latest request. */
  newest: ServerResponse | undefined;
  /** `socket.bytesRead` when the last response was finished. The connection is idle if it has not changed. */
  bytesReadAtRest: number;
  /** Set when the connection was refused. Anything that arrives after that is ignored. */
  refused: boolean;
}

/** HTTP/1.0 and 1.1 (RFC 9112). */
export function createHttp1(serve: Guarded, limits: HttpLimits, reportFault: ReportFault): ConnectionHandler {
  const connections = new Map<Duplex, Connection>();
  let draining = false;

  const server = createServer({
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.idleTimeoutMs,
    connectionsCheckingInterval: checkIntervalMs(limits),
    // The guard checks the host for both versions, and replies with a proper error.
    requireHostHeader: false,
  });
  // Node silently drops header fields above this number. Their total size is limited already.
  server.maxHeadersCount = 0;
  // The server never listens itself, but needs this event to start checking timeouts.
  server.emit("listening");
  server.setTimeout(limits.idleTimeoutMs, (socket) => {
    const isIdle = (connections.get(socket)?.pending ?? 0) === 0;
    // The client has not read the response for this long.
    if (isIdle || socket.writableLength > 0) socket.destroy();
  });

  const answer = (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) => {
    if (begin(response)) serve(request, response, expectsContinue);
  };
  server.on("request", (request, response) => answer(request, response, false));
  server.on("checkContinue", (request, response) => answer(request, response, true));
  server.on("checkExpectation", (request, response) => {
    if (begin(response)) refuse(request, response, expectationUnknown);
  });
  // CONNECT comes with the bare socket. Without this listener Node would close it without a reply.
  server.on("connect", (_request, socket) => {
    socket.resume();
    endWith(socket, methodUnsupported);
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    const connection = connections.get(socket);
    // The parser also fails on everything that arrives after the first error.
    if (connection?.refused) return;
    const refusal = refusalOf(error.code);
    if (connection === undefined || refusal === undefined) return socket.destroy();
    // Don't send 408 on a connection that was opened in advance and never used.
    if (refusal === tooSlow && isAtRest(socket, connection)) return socket.destroy();
    reportFault(error, "a client sent an invalid HTTP/1 request");
    endWith(socket, refusal);
  });

  /** Registers a request. Returns false if it must not be answered. */
  function begin(response: ServerResponse): boolean {
    const { socket } = response.req;
    const connection = connections.get(socket);
    if (connection === undefined || connection.refused || socket.destroyed) return false;
    // Node emits all pipelined requests at once, without a limit.
    if (connection.pending >= limits.streamsMax) {
      reportFault(new Error("too many pipelined requests"), "an HTTP/1 connection was closed");
      socket.destroy();
      return false;
    }
    connection.pending += 1;
    connection.newest = response;
    response.on("close", () => {
      connection.pending -= 1;
      connection.bytesReadAtRest = socket.bytesRead;
      if (draining && connection.pending === 0) socket.destroySoon();
    });
    if (draining) response.setHeader("connection", "close");
    return true;
  }

  /** Closes a connection with an error reply, unless the client would take that for the reply to another request. */
  function endWith(socket: Duplex, refusal: HttpRefusal): void {
    const connection = connections.get(socket);
    if (connection === undefined || !socket.writable || hasPendingReply(connection)) {
      socket.destroy();
      return;
    }
    connection.refused = true;
    socket.end(refusalBytes(refusal));
    // Closing a socket with unread bytes makes TCP reset the connection, and the client may lose the reply.
    const timer = setTimeout(() => socket.destroy(), lingerMs);
    socket.once("close", () => clearTimeout(timer));
  }

  return {
    accept(socket) {
      const connection = { pending: 0, newest: undefined, bytesReadAtRest: 0, refused: false };
      connections.set(socket, connection);
      socket.once("close", () => connections.delete(socket));
      server.emit("connection", socket);
      socket.resume();
    },
    drain() {
      draining = true;
      for (const [socket, connection] of connections) {
        if (isAtRest(socket, connection)) {
          socket.destroy();
        } else if (connection.newest !== undefined && !connection.newest.headersSent) {
          connection.newest.setHeader("connection", "close");
        }
      }
    },
    stop() {
      server.close();
    },
  };
}

/** Whether a reply to another request is pending or partly sent. */
function hasPendingReply({ pending, newest }: Connection): boolean {
  if (pending === 0 || newest === undefined) return false;
  return pending > 1 || newest.headersSent || newest.req.complete;
}

function isAtRest(socket: Duplex, { pending, bytesReadAtRest }: Connection): boolean {
  return pending === 0 && "bytesRead" in socket && socket.bytesRead === bytesReadAtRest;
}

/** The reply to an error of the parser. Undefined for an error of the socket. */
function refusalOf(code: string | undefined): HttpRefusal | undefined {
  switch (code) {
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return tooSlow;
    case "HPE_HEADER_OVERFLOW":
      return headersTooLarge;
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return chunksTooLarge;
    default:
      return code?.startsWith("HPE_") ? malformed : undefined;
  }
}
