import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { ConnectionHandler } from "./engine.ts";
import { type Guarded, refuse } from "./guard.ts";
import { checkIntervalMs, type HttpLimits, lingerMs } from "./limits.ts";
import {
  chunksTooLarge,
  expectationUnknown,
  headersTooLarge,
  malformed,
  methodUnsupported,
  type Refusal,
  refusalBytes,
  tooSlow,
} from "./refusal.ts";
import type { ReportFault } from "./report.ts";

interface Connection {
  /** Responses that are not finished yet, in the order of their requests; more than one if they are pipelined. */
  pending: number;
  /** The response to the newest request. */
  newest: ServerResponse | undefined;
  /** `socket.bytesRead` when the last response was finished: whoever has sent nothing since is idle. */
  bytesReadAtRest: number;
  /** Set when the connection was told that it ends. Nothing that arrives after that is looked at. */
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
    // The guard checks it, for all versions and with an answer in our form.
    requireHostHeader: false,
  });
  // Above this number Node drops header fields in silence; their bytes are limited already.
  server.maxHeadersCount = 0;
  // It gets its connections from elsewhere; with this event it begins to check their timeouts all the same.
  server.emit("listening");
  server.setTimeout(limits.idleTimeoutMs, (socket) => {
    const isIdle = (connections.get(socket)?.pending ?? 0) === 0;
    // Bytes that wait for so long wait for a client that does not read.
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
  // Node hands over the bare socket. Without this listener it would be closed without a word.
  server.on("connect", (_request, socket) => {
    socket.resume();
    endWith(socket, methodUnsupported);
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    const connection = connections.get(socket);
    // The parser goes on to fail on everything that still arrives.
    if (connection?.refused) return;
    const refusal = refusalOf(error.code);
    if (connection === undefined || refusal === undefined) return socket.destroy();
    // A connection that was opened ahead and never used is closed without an unasked-for 408.
    if (refusal === tooSlow && isAtRest(socket, connection)) return socket.destroy();
    reportFault(error, "a client sent an invalid HTTP/1 request");
    endWith(socket, refusal);
  });

  /** Counts a request in. False if it is not to be answered. */
  function begin(response: ServerResponse): boolean {
    const { socket } = response.req;
    const connection = connections.get(socket);
    if (connection === undefined || connection.refused || socket.destroyed) return false;
    // Node calls the handler for pipelined requests at once, however many there are.
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

  /** Ends a connection with a reply of the server's own, if one can be said that is not taken for another. */
  function endWith(socket: Duplex, refusal: Refusal): void {
    const connection = connections.get(socket);
    if (connection === undefined || !socket.writable || isOwedAnother(connection)) {
      socket.destroy();
      return;
    }
    connection.refused = true;
    socket.end(refusalBytes(refusal));
    // Closed at once, with bytes unread, TCP would reset the connection and the client might lose the reply.
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

/** Whether the client is owed, or has half received, a reply to something other than what is refused now. */
function isOwedAnother({ pending, newest }: Connection): boolean {
  if (pending === 0 || newest === undefined) return false;
  return pending > 1 || newest.headersSent || newest.req.complete;
}

function isAtRest(socket: Duplex, { pending, bytesReadAtRest }: Connection): boolean {
  return pending === 0 && "bytesRead" in socket && socket.bytesRead === bytesReadAtRest;
}

/** What to answer to an error of the parser; nothing to one of the socket. */
function refusalOf(code: string | undefined): Refusal | undefined {
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
