import {
  constants,
  createServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import type { Socket } from "node:net";
import type { Engine } from "./engine.ts";
import { type Guarded, type Report, refuse } from "./guard.ts";
import { checkIntervalMs, type HttpLimits, lingerMs } from "./limits.ts";
import { expectationUnknown, methodUnsupported, tooSlow } from "./refusal.ts";

interface Session {
  readonly socket: Socket;
  streams: number;
  /** Set when a check has found the session gone and its socket still open. */
  leftOpen: boolean;
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
      if (sessions.get(session)?.streams === 0) {
        end(session);
      } else {
        probe(session);
      }
    });
  });
  server.on("sessionError", (error: NodeJS.ErrnoException) => {
    report(new Error(error.code ?? error.message), "an HTTP/2 connection failed");
  });
  const answer = (request: Http2ServerRequest, response: Http2ServerResponse, expectsContinue: boolean) => {
    if (watch(request, response)) serve(request, response, expectsContinue);
  };
  server.on("request", (request, response) => answer(request, response, false));
  server.on("checkContinue", (request, response) => answer(request, response, true));
  server.on("checkExpectation", (request, response) => {
    if (watch(request, response)) refuse(request, response, expectationUnknown);
  });
  server.on("connect", (request: Http2ServerRequest, response: Http2ServerResponse) => {
    if (watch(request, response)) refuse(request, response, methodUnsupported);
  });

  /**
   * Counts a stream in, and closes it if the client does not end the request in time or does not take the reply.
   * False if the connection is gone.
   */
  function watch(request: Http2ServerRequest, response: Http2ServerResponse): boolean {
    const { stream } = request;
    const session = sessions.get(stream.session as ServerHttp2Session);
    if (session === undefined) return false;
    session.streams += 1;
    let unsent = 0;
    const timer = setInterval(() => {
      if (!stream.endAfterHeaders && !stream.readableEnded) {
        refuse(request, response, tooSlow);
        stream.close(response.writableEnded ? constants.NGHTTP2_NO_ERROR : constants.NGHTTP2_CANCEL);
      } else if (unsent > 0 && stream.writableLength === unsent) {
        stream.close(constants.NGHTTP2_CANCEL);
      }
      unsent = stream.writableLength;
    }, limits.requestTimeoutMs);
    stream.once("close", () => {
      session.streams -= 1;
      clearInterval(timer);
    });
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

  // A session that failed or was closed ends its socket, but waits for a client that reads nothing or never ends its
  // own side, and emits nothing meanwhile.
  const sweep = setInterval(() => {
    for (const [session, entry] of sessions) {
      if (entry.leftOpen) entry.socket.destroy();
      entry.leftOpen = session.destroyed;
    }
  }, checkIntervalMs(limits));
  sweep.unref();

  return {
    accept(socket) {
      // RFC 9113 §5.4 knows no half-open connection; HTTP/1 does.
      socket.allowHalfOpen = false;
      server.once("session", (session) => {
        sessions.set(session, { socket, streams: 0, leftOpen: false });
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
