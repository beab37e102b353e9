import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;

/** Answers one request, of either version of HTTP. */
export type NodeHandler = (request: NodeRequest, response: NodeResponse) => void;

/** A reply as a whole. Without a body there is no content, not even of length 0 (204). */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** Sends a reply, and to HEAD its headers only. Does nothing if the client is gone or a reply has begun. */
export function reply(request: NodeRequest, response: NodeResponse, { status, headers, body }: Reply): void {
  if (!canReply(response)) return;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (body !== undefined) response.setHeader("content-length", Buffer.byteLength(body));
  response.statusCode = status;
  if (body === undefined || request.method === "HEAD") {
    response.end();
  } else {
    response.end(body);
  }
}

/** Whether a reply can still be sent: the client is there and nothing was sent so far. */
export function canReply(response: NodeResponse): boolean {
  if (response.headersSent || response.writableEnded) return false;
  // To answer on an HTTP/2 stream that the client has reset throws.
  if ("stream" in response) return !response.stream.destroyed && !response.stream.closed;
  return !response.destroyed;
}
