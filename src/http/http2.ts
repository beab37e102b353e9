import {
  constants,
  createServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import type { Socket } from "node:net";
import type { Engine } from "./engine.ts";
import { type Guarded, refuse } from "./guard.ts";
import { checkIntervalMs, type HttpLimits, lingerMs } from "./limits.ts";
import { expectationUnknown, methodUnsupported, tooSlow } from "./refusal.ts";
import type { Report } from "./report.ts";

interface Session {
  readonly socket: Socket;
  readonly exchanges: Set<Exchange>;
  /** Set when a check has found the session gone and its socket still open. */
  leftOpen: boolean;
}

/** A request and its response, until the stream of both is closed. */
interface Exchange {
  readonly request: Http2ServerRequest;
  readonly response: Http2ServerResponse;
  readonly beginTime: number;
  /** Bytes of the response that wait for the client, and since when it has been so many. */
  unsent: number;
  unsentTime: number;
}

/** HTTP/2 (RFC 9113), over TLS or with prior knowledge. */
export function createHttp2(serve: Guarded, limits: HttpLimits, report: Report): Engine {
  const sessions = new Map<ServerHttp2Session, Session>();

  const server = createServer({
    settings: {
      maxConcurrentStreams: limits.streamsMax,
      maxHeaderListSize: limits.headerBytesMax,
    },
    maxHeaderListPairs: 128,
    // In megabytes: the headers of every stream, and 2 MB for what else a session keeps.
    maxSessionMemory: 2 + Math.ceil((limits.streamsMax * limits.headerBytesMax) / 1_000_000),
    // Over the whole life of a session, which may be that of a proxy with many clients behind it.
    maxSessionInvalidFrames: 100,
    maxSessionRejectedStreams: 100,
    maxOutstandingPings: 10,
  });

  server.on("session", (session) => {
    session.setTimeout(limits.sessionIdleMs);
    session.on("timeout", () => {
      session.setTimeout(limits.sessionIdleMs);
      if (sessions.get(session)?.exchanges.size === 0) {
        end(session);
      } else {
        probe(session);
      }
    });
  });
  server.on("sessionError", (error) => report(error, "an HTTP/2 connection failed"));
  const answer = (request: Http2ServerRequest, response: Http2ServerResponse, expectsContinue: boolean) => {
    if (begin(request, response)) serve(request, response, expectsContinue);
  };
  server.on("request", (request, response) => answer(request, response, false));
  server.on("checkContinue", (request, response) => answer(request, response, true));
  server.on("checkExpectation", (request, response) => {
    if (begin(request, response)) refuse(request, response, expectationUnknown);
  });
  server.on("connect", (request: Http2ServerRequest, response: Http2ServerResponse) => {
    if (begin(request, response)) refuse(request, response, methodUnsupported);
  });

  /** Counts a stream in. False if the connection is gone. */
  function begin(request: Http2ServerRequest, response: Http2ServerResponse): boolean {
    const session = sessions.get(request.stream.session as ServerHttp2Session);
    if (session === undefined) return false;
    const now = performance.now();
    const exchange = { request, response, beginTime: now, unsent: 0, unsentTime: now };
    session.exchanges.add(exchange);
    request.stream.once("close", () => session.exchanges.delete(exchange));
    return true;
  }

  function end(session: ServerHttp2Session): void {
    session.close();
    // A client that does not read the GOAWAY keeps the session from closing.
    destroyAfter(session, lingerMs);
  }

  /** Where streams are open and nothing moves, a client that is still there answers a PING. */
  function probe(session: ServerHttp2Session): void {
    const timer = destroyAfter(session, limits.headersTimeoutMs);
    session.ping(() => clearTimeout(timer));
  }

  /** Closes a stream whose client does not end the request in time or does not take the reply. */
  function check(exchange: Exchange, now: number): void {
    const { request, response } = exchange;
    const { stream } = request;
    if (!stream.endAfterHeaders && !stream.readableEnded) {
      if (now - exchange.beginTime < limits.requestTimeoutMs) return;
      refuse(request, response, tooSlow);
      stream.close(response.writableEnded ? constants.NGHTTP2_NO_ERROR : constants.NGHTTP2_CANCEL);
    } else if (stream.writableLength === 0 || stream.writableLength !== exchange.unsent) {
      exchange.unsent = stream.writableLength;
      exchange.unsentTime = now;
    } else if (now - exchange.unsentTime >= limits.idleTimeoutMs) {
      stream.close(constants.NGHTTP2_CANCEL);
    }
  }

  // One timer for all: one for each stream costs 3 to 5 us of CPU a request, of 25 for a small one.
  const sweep = setInterval(() => {
    const now = performance.now();
    for (const [session, entry] of sessions) {
      // A session that failed or was closed ends its socket, but waits for a client that reads nothing or never ends
      // its own side, and emits nothing meanwhile.
      if (entry.leftOpen) entry.socket.destroy();
      entry.leftOpen = session.destroyed;
      for (const exchange of entry.exchanges) check(exchange, now);
    }
  }, checkIntervalMs(limits));
  sweep.unref();

  return {
    accept(socket) {
      // A connection of which one side has ended is of use to HTTP/1 alone.
      socket.allowHalfOpen = false;
      server.once("session", (session) => {
        sessions.set(session, { socket, exchanges: new Set(), leftOpen: false });
        socket.once("close", () => sessions.delete(session));
      });
      server.emit("connection", socket);
    },
    drain() {
      for (const session of sessions.keys()) {
        // GOAWAY names the last stream that is answered; later ones can be sent again elsewhere. The notice ahead of it
        // that RFC 9113 §6.8 suggests does harm here: Node ignores streams from the first GOAWAY on, whatever it named.
        session.close();
      }
    },
    stop() {
      clearInterval(sweep);
    },
  };
}

function destroyAfter(session: ServerHttp2Session, ms: number): NodeJS.Timeout {
  const timer = setTimeout(() => session.destroy(), ms);
  session.once("close", () => clearTimeout(timer));
  return timer;
}
