import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { canceled } from "./wire-error.ts";

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;
export type NodeHandler = (request: NodeRequest, response: NodeResponse) => void;

const authority = /^[\w.:[\]-]+$/;

/** The absolute URL of a request. It always parses: an invalid Host is replaced by `localhost`. */
export function urlOf(request: NodeRequest): string {
  const isHttp2 = "stream" in request;
  const host = (isHttp2 && request.authority) || (request.headers.host ?? "");
  const isEncrypted = isHttp2
    ? request.stream.session?.encrypted
    : "encrypted" in request.socket && request.socket.encrypted;
  const scheme = isEncrypted ? "https" : "http";
  const origin = `${scheme}://${host}`;
  return (authority.test(host) && URL.canParse(origin) ? origin : `${scheme}://localhost`) + request.url;
}

const addresses = new WeakMap<object, string | undefined>();

/** The remote address of the socket. Undefined once the socket is closed. */
export function peerAddressOf(request: NodeRequest): string | undefined {
  if (!("stream" in request)) return request.socket.remoteAddress;
  const { session } = request.stream;
  if (!session) return undefined;
  // `session.socket` is a slow Proxy, and throws on any access once the session is destroyed.
  if (!addresses.has(session) && !session.destroyed) addresses.set(session, session.socket.remoteAddress);
  return addresses.get(session);
}

/** A signal that aborts with CANCELED when the client disconnects. `stop` removes the listeners. */
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
