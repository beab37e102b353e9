import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { canceled } from "./wire-error.ts";

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;
export type NodeHandler = (request: NodeRequest, response: NodeResponse) => void;

/** Whether a reply can still be sent: the client is there and nothing was sent so far. */
export function canReply(response: NodeResponse): boolean {
  if (response.headersSent || response.writableEnded) return false;
  // To answer on an HTTP/2 stream that the client has reset throws.
  if ("stream" in response) return !!response.stream && !response.stream.destroyed && !response.stream.closed;
  return !response.destroyed;
}

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

const authority = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i;

/** The whole URL of a request, for interceptors. A Host that is none is left out, so that the URL always parses. */
export function urlOf(request: NodeRequest): string {
  const host = ("authority" in request ? request.authority : undefined) || (request.headers.host ?? "");
  const isEncrypted = "encrypted" in request.socket && request.socket.encrypted;
  const origin = `${isEncrypted ? "https" : "http"}://${authority.test(host) ? host : "localhost"}`;
  return origin + request.url;
}

/** The address at the other end of the socket. Undefined once that is gone. */
export function peerAddressOf(request: NodeRequest): string | undefined {
  // On HTTP/2 the socket throws once its session is gone.
  if ("stream" in request && (!request.stream.session || request.stream.session.destroyed)) return undefined;
  return request.socket?.remoteAddress;
}

/** A signal that aborts when the client goes away. `stop` forgets the client. */
export function abortWhenGone(
  request: NodeRequest,
  response: NodeResponse,
): { signal: AbortSignal; stop(): void } {
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

/** Fields that describe one HTTP message and not what it carries (RFC 9110 §7.6.1). */
const framing = [
  "connection",
  "content-length",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/**
 * Removes what a reply says of itself. An error that another server has sent brings the headers of that reply along,
 * and Node throws when HTTP/2 is to carry some of them, for trailers where nobody can catch it.
 */
export function dropFraming(headers: Headers): void {
  for (const name of framing) headers.delete(name);
}
