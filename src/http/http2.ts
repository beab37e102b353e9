import {
  constants,
  createServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import type { Socket } from "node:net";
import type { ConnectionHandler } from "./engine.ts";
import { type Guarded, refuse } from "./guard.ts";
import { checkIntervalMs, type HttpLimits, lingerMs } from "./limits.ts";
import { createReclaim } from "./reclaim.ts";
import { expectationUnknown, methodUnsupported, tooSlow } from "./refusal.ts";
import type { ReportFault } from "./report.ts";

interface Session {
  readonly socket: Socket;
  readonly exchanges: Set<Exchange>;
  /** Set when a check has found the session gone and its socket still open. */
  leftOpen: boolean;
  /** Whether the client has answered since it fell silent. */
  isProbed: boolean;
  /** Requests that the client may still reset, and when it was so many. */
  resetsLeft: number;
  resetTime: number;
  /** Set when it was too many. Nothing that arrives after that is looked at. */
  isEnded: boolean;
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
export function createHttp2(serve: Guarded, limits: HttpLimits, reportFault: ReportFault): ConnectionHandler {
  const sessions = new Map<ServerHttp2Session, Session>();
  const reclaim = createReclaim();
  const silenceMs = Math.min(limits.headersTimeoutMs / 2, limits.sessionIdleMs);

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
    session.setTimeout(silenceMs);
    session.on("timeout", () => {
      const entry = sessions.get(session);
      if (entry?.isProbed && entry.exchanges.size === 0) end(session);
      else probe(session, entry);
    });
  });
  server.on("sessionError", (error) => reportFault(error, "an HTTP/2 connection failed"));
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
    const { stream } = request;
    const session = stream.session as ServerHttp2Session;
    const entry = sessions.get(session);
    if (entry === undefined || entry.isEnded) return false;
    reclaim();
    const now = performance.now();
    if (entry.isProbed) {
      entry.isProbed = false;
      session.setTimeout(silenceMs);
    }
    const exchange = { request, response, beginTime: now, unsent: 0, unsentTime: now };
    entry.exchanges.add(exchange);
    stream.once("close", () => {
      entry.exchanges.delete(exchange);
      if (stream.aborted || stream.rstCode !== constants.NGHTTP2_NO_ERROR)
        countReset(session, entry, performance.now());
    });
    return true;
  }

  /** Closes a connection that resets its requests faster than anybody has use for (CVE-2023-44487). */
  function countReset(session: ServerHttp2Session, entry: Session, now: number): void {
    const earned = ((now - entry.resetTime) * limits.resetsPerSecond) / 1_000;
    entry.resetsLeft = Math.min(limits.resetsBurst, entry.resetsLeft + earned) - 1;
    entry.resetTime = now;
    if (entry.resetsLeft >= 0 || entry.isEnded) return;
    entry.isEnded = true;
    reportFault(new Error("too many resets"), "an HTTP/2 connection was closed");
    // Not at once: this runs while Node is at work on what it has read, and to destroy a session then ends the process (an
    // assertion of Http2Session::CheckAllocatedSize fails, Node 20.20).
    setImmediate(() => session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM));
    setTimeout(() => entry.socket.destroy(), lingerMs);
  }

  function end(session: ServerHttp2Session): void {
    session.close();
    // A client that does not read the GOAWAY keeps the session from closing.
    destroyAfter(session, lingerMs);
  }

  /**
   * Where nothing moves, a client that is still there answers a PING. After a GOAWAY for a fault of the client Node
   * neither reads nor writes any more, and leaves the connection to it: there no answer comes either.
   */
  function probe(session: ServerHttp2Session, entry: Session | undefined): void {
    const timer = destroyAfter(session, limits.headersTimeoutMs);
    session.ping(() => {
      clearTimeout(timer);
      if (session.destroyed) return;
      if (entry !== undefined) entry.isProbed = true;
      session.setTimeout(limits.sessionIdleMs);
    });
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
        sessions.set(session, {
          socket,
          exchanges: new Set(),
          leftOpen: false,
          isProbed: false,
          resetsLeft: limits.resetsBurst,
          resetTime: performance.now(),
          isEnded: false,
        });
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
