import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { canceled } from "./wire-error.ts";

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;
export type NodeHandler = (request: NodeRequest, response: NodeResponse) => void;

/** The headers of a request, without those of HTTP/2 itself. Repeated ones are joined. */
export function headersOf(request: NodeRequest): Headers {
  const headers = new Headers();
  const { rawHeaders } = request;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? "";
    if (!name.startsWith(":")) headers.append(name, rawHeaders[i + 1] ?? "");
  }
  return headers;
}

const authority = /^[\w.:[\]-]+$/;

/** The whole URL of a request. It always parses: a Host that is none is left out of it. */
export function urlOf(request: NodeRequest): string {
  const isHttp2 = "stream" in request;
  const host = (isHttp2 && request.authority) || (request.headers.host ?? "");
  const isEncrypted = isHttp2
    ? request.stream.session?.encrypted
    : "encrypted" in request.socket && request.socket.encrypted;
  return originOf(isEncrypted ? "https" : "http", host) + request.url;
}

/** The last one: nearly every request is for the same. */
let lastOrigin = { scheme: "", host: "", origin: "" };

function originOf(scheme: string, host: string): string {
  if (scheme === lastOrigin.scheme && host === lastOrigin.host) return lastOrigin.origin;
  const given = `${scheme}://${host}`;
  const origin = authority.test(host) && URL.canParse(given) ? given : `${scheme}://localhost`;
  lastOrigin = { scheme, host, origin };
  return origin;
}

const addresses = new WeakMap<object, string | undefined>();

/** The address at the other end of the socket. Undefined once that is gone. */
export function peerAddressOf(request: NodeRequest): string | undefined {
  if (!("stream" in request)) return request.socket.remoteAddress;
  const { session } = request.stream;
  if (!session) return undefined;
  // The socket of a session is a proxy, and slow. That of a session that is gone throws whatever it is asked.
  if (!addresses.has(session) && !session.destroyed) addresses.set(session, session.socket.remoteAddress);
  return addresses.get(session);
}

/** A signal that aborts with CANCELED when the client goes away. `stop` forgets the client. */
export function abortWhenGone(
  request: NodeRequest,
  response: NodeResponse,
): { readonly signal: AbortSignal; stop(): void } {
  const controller = new AbortController();
  const abort = () => controller.abort(canceled());
  response.once("close", abort);
  request.once("error", abort);
  return {
    signal: controller.signal,
    stop() {
      response.off("close", abort);
      request.off("error", abort);
    },
  };
}
