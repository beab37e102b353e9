import { type ServerResponse, validateHeaderValue } from "node:http";
import { constants, type ServerHttp2Stream } from "node:http2";
import type { NodeRequest, NodeResponse } from "./node-http.ts";

/** An answer as a whole. */
export interface Reply {
  readonly status: number;
  readonly header: Headers;
  readonly body: Uint8Array;
  /** HTTP trailers (gRPC). */
  readonly trailer?: Headers;
}

/**
 * Sends a reply, if there still is somebody to send it to. What the client still sends is not read.
 *
 * @throws TypeError, with nothing sent, if a header has a value that HTTP cannot carry.
 */
export function send(request: NodeRequest, response: NodeResponse, reply: Reply): void {
  if (!canSend(response)) return;
  const fields = fieldsOf(reply.header);
  const trailers = reply.trailer && fieldsOf(reply.trailer);
  const isHttp2 = "stream" in response;
  const unread = bytesUnread(request);

  for (const [name, value] of fields) response.setHeader(name, value);
  response.setHeader("cache-control", "no-store");
  if (!isHttp2 && unread > bytesToSkipMax) response.setHeader("connection", "close");
  // RFC 9110 §8.6: no length where there can be no content.
  if (!trailers && reply.status !== 204) response.setHeader("content-length", reply.body.length);
  response.writeHead(reply.status);
  if (request.method !== "HEAD" && reply.body.length > 0) (response as ServerResponse).write(reply.body);
  if (trailers) (response as ServerResponse).addTrailers(Object.fromEntries(trailers));
  response.end();
  if (isHttp2 && unread > 0) stopReading(response.stream, trailers !== undefined);
}

/** Whether a reply can still be sent: the client is there and nothing was sent so far. */
export function canSend(response: NodeResponse): boolean {
  if (response.headersSent || response.writableEnded || response.destroyed) return false;
  if (!("stream" in response)) return true;
  // To answer on an HTTP/2 stream that the client has reset throws.
  return response.stream !== undefined && !response.stream.destroyed && !response.stream.closed;
}

/** Node reads and forgets so much of a request that is refused early, so that the connection can go on. */
const bytesToSkipMax = 64 * 1024;

/** How much of the body may still come: Infinity if only the client knows. */
export function bytesUnread(request: NodeRequest): number {
  if (request.complete) return 0;
  if ("stream" in request) return request.stream.endAfterHeaders ? 0 : Number.POSITIVE_INFINITY;
  if (request.headers["transfer-encoding"] !== undefined) return Number.POSITIVE_INFINITY;
  return Number(request.headers["content-length"] ?? 0);
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
 * Removes what a reply says of its own message. An error that came from another server brings such fields of that
 * server's reply along, and Node throws when HTTP/2 is to carry them; for trailers, where nobody can catch it.
 */
export function dropFraming(headers: Headers): void {
  for (const name of framing) headers.delete(name);
}

/** Header fields as Node takes them. @throws TypeError if HTTP cannot carry a value */
export function fieldsOf(headers: Headers): Map<string, string | string[]> {
  dropFraming(headers);
  const fields = new Map<string, string | string[]>();
  for (const [name, value] of headers) {
    validateHeaderValue(name, value);
    // The one field whose values cannot be joined (RFC 6265 §3).
    fields.set(name, name === "set-cookie" ? headers.getSetCookie() : value);
  }
  return fields;
}

/**
 * What the client still sends is not wanted: RFC 9113 §8.1 has RST_STREAM with NO_ERROR for that, behind a whole reply.
 * To close a stream whose trailers are still to be sent would lose them, and on Node 20 can end the process: nghttp2
 * then asks for them without end.
 */
function stopReading(stream: ServerHttp2Stream, hasTrailers: boolean): void {
  const close = () => stream.close(constants.NGHTTP2_NO_ERROR);
  if (hasTrailers) stream.once("wantTrailers", () => setImmediate(close));
  else close();
}
