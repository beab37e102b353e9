import {
  constants,
  createServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import type { Socket } from "node:net";
import { createExternalMemoryCollector } from "./collect-external-memory.ts";
import type { ConnectionHandler } from "./connection-handler.ts";
import { type Guarded, refuse } from "./guard.ts";
import { expectationUnknown, methodUnsupported, tooSlow } from "./http-refusal.ts";
import { checkIntervalMs, type HttpLimits, lingerMs } from "./limits.ts";
import type { ReportFault } from "./report-fault.ts";

interface Session {
  readonly socket: Socket;
  readonly exchanges: Set<Exchange>;
  /** Set when a sweep has found the session destroyed but its socket still open. */
  leftOpen: boolean;
  /** Whether the client has answered a PING since its last request. */
  isProbed: boolean;
  /** How many requests the client may still reset, as of `resetTime`. */
  resetsLeft: number;
  resetTime: number;
  /** Set after too many resets. Anything that arrives after that is ignored. */
  isEnded: boolean;
}

/** A request and its response, until their stream is closed. */
interface Exchange {
  readonly request: Http2ServerRequest;
  readonly response: Http2ServerResponse;
  readonly beginTime: number;
  /** Unsent bytes of the response, and since when their number has not changed. */
  unsent: number;
  unsentTime: number;
}

/** HTTP/2 (RFC 9113), over TLS or with prior knowledge. */
export function createHttp2(serve: Guarded, limits: HttpLimits, reportFault: ReportFault): ConnectionHandler {
  const sessions = new Map<ServerHttp2Session, Session>();
  const collectExternalMemory = createExternalMemoryCollector();
  const silenceMs = Math.min(limits.headersTimeoutMs / 2, limits.sessionIdleMs);

  const server = createServer({
    settings: {
      maxConcurrentStreams: limits.streamsMax,
      maxHeaderListSize: limits.headerBytesMax,
    },
    maxHeaderListPairs: 128,
    // In megabytes: the headers of all streams, and 2 MB for everything else.
    maxSessionMemory: 2 + Math.ceil((limits.streamsMax * limits.headerBytesMax) / 1_000_000),
    // For the lifetime of a session, which may belong to a proxy with many clients.
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

  /** Registers a stream. Returns false if the connection is closed. */
  function begin(request: Http2ServerRequest, response: Http2ServerResponse): boolean {
    const { stream } = request;
    const session = stream.session as ServerHttp2Session;
    const entry = sessions.get(session);
    if (entry === undefined || entry.isEnded) return false;
    collectExternalMemory();
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

  /** Closes a connection that resets requests too fast (CVE-2023-44487). Allows bursts, like a token bucket. */
  function countReset(session: ServerHttp2Session, entry: Session, now: number): void {
    const earned = ((now - entry.resetTime) * limits.resetsPerSecond) / 1_000;
    entry.resetsLeft = Math.min(limits.resetsBurst, entry.resetsLeft + earned) - 1;
    entry.resetTime = now;
    if (entry.resetsLeft >= 0 || entry.isEnded) return;
    entry.isEnded = true;
    reportFault(new Error("too many resets"), "an HTTP/2 connection was closed");
    // Not synchronously: destroying a session while Node processes what it has read crashes the process (failed assertion
    // in Http2Session::CheckAllocatedSize, Node 20.20).
    setImmediate(() => session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM));
    setTimeout(() => entry.socket.destroy(), lingerMs);
  }

  function end(session: ServerHttp2Session): void {
    session.close();
    // A client that doesn't read the GOAWAY keeps the session open.
    destroyAfter(session, lingerMs);
  }

  /**
   * Checks with a PING that a silent client is still there. Also finds sessions that Node has given up: after a GOAWAY for a
   * protocol error Node neither reads nor writes, and waits for the client to close the connection.
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

  /** Closes a stream whose client doesn't finish the request in time, or doesn't read the response. */
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

  // One timer for all streams: one per stream is expensive (docs/performance.md).
  const sweep = setInterval(() => {
    const now = performance.now();
    for (const [session, entry] of sessions) {
      // A destroyed session ends its socket, but waits indefinitely for a client that reads nothing or never closes its side.
      if (entry.leftOpen) entry.socket.destroy();
      entry.leftOpen = session.destroyed;
      for (const exchange of entry.exchanges) check(exchange, now);
    }
  }, checkIntervalMs(limits));
  sweep.unref();

  return {
    accept(socket) {
      // HTTP/2 has no use for a half-closed connection.
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
        // The GOAWAY names the last stream that is served, so the client can retry later ones elsewhere. Don't send the
        // preliminary GOAWAY of RFC 9113 §6.8: Node ignores all new streams after the first one.
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
