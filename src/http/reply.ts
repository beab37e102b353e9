import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;

/** Answers a request of either HTTP version. */
export type NodeHandler = (request: NodeRequest, response: NodeResponse) => void;

/** A complete reply. Without a body, it has no Content-Length either (204). */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** Sends a reply, without its body if the request is HEAD. Does nothing if the client is gone or a reply was started. */
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

/** Whether a reply can still be sent: the client is connected and nothing has been sent yet. */
export function canReply(response: NodeResponse): boolean {
  if (response.headersSent || response.writableEnded) return false;
  // Responding on an HTTP/2 stream that the client has reset throws.
  if ("stream" in response) return !response.stream.destroyed && !response.stream.closed;
  return !response.destroyed;
}
