import { validateHeaderValue } from "node:http";
import { constants, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { NodeRequest, NodeResponse } from "./node-http.ts";

/** Header fields by lower-case name, with values that HTTP can carry. `send` modifies them. */
export type Fields = Record<string, string | string[]>;

/** A complete reply. */
export interface Reply {
  readonly status: number;
  readonly header: Headers | Fields;
  /** Text is sent as UTF-8. Over HTTP/1, Node sends it in one write with the header. */
  readonly body: Uint8Array | string;
  /** HTTP trailers (gRPC). */
  readonly trailer?: Headers | Fields;
}

/**
 * Sends a reply, unless the client is gone. Any part of the request body that is still to come is not read.
 *
 * @throws TypeError, before anything is sent, if a header has a value that HTTP can't carry.
 */
export function send(request: NodeRequest, response: NodeResponse, reply: Reply): void {
  if (!canSend(response)) return;
  const { status, body } = reply;
  const fields = toFields(reply.header);
  const trailers = reply.trailer && toFields(reply.trailer);
  const unread = bytesUnread(request);

  fields["cache-control"] = "no-store";
  // RFC 9110 §8.6: 204 must not have a Content-Length.
  if (!trailers && status !== 204) fields["content-length"] = String(Buffer.byteLength(body));
  const content = request.method === "HEAD" ? "" : body;
  if ("stream" in response) {
    sendHttp2(response, status, fields, content, trailers);
    if (unread > 0) stopReading(request as Http2ServerRequest, trailers !== undefined);
    return;
  }
  if (unread > bytesToSkipMax) fields.connection = "close";
  response.writeHead(status, fields);
  if (trailers) response.addTrailers(trailers as Record<string, string>);
  response.end(content);
}

/** Writes to the stream directly, without the overhead of Http2ServerResponse (docs/performance.md). */
function sendHttp2(
  response: Http2ServerResponse,
  status: number,
  fields: Fields,
  content: Uint8Array | string,
  trailers: Fields | undefined,
): void {
  const { stream } = response;
  const hasContent = content.length > 0;
  for (const name of response.getHeaderNames()) fields[name] ??= response.getHeader(name) as string;
  const options = { endStream: !hasContent && !trailers, waitForTrailers: trailers !== undefined };
  stream.respond({ ":status": status, ...fields }, options);
  // Http2ServerResponse sends its trailers when the stream asks for them, even if it didn't send the rest.
  if (trailers) response.addTrailers(trailers as Record<string, string>);
  if (hasContent) stream.end(content);
  else if (trailers) stream.end();
}

/** Whether a reply can still be sent: the client is connected and nothing has been sent yet. */
export function canSend(response: NodeResponse): boolean {
  if (response.headersSent || response.writableEnded || response.destroyed) return false;
  if (!("stream" in response)) return true;
  // Responding on an HTTP/2 stream that the client has reset throws.
  return response.stream !== undefined && !response.stream.destroyed && !response.stream.closed;
}

/** Node reads and discards this much of an unread request body, to keep the connection alive. */
const bytesToSkipMax = 64 * 1024;

/** How many bytes of the request body may still arrive. Infinity if unknown. */
export function bytesUnread(request: NodeRequest): number {
  if ("stream" in request) {
    const { endAfterHeaders, readableEnded } = request.stream;
    return endAfterHeaders || readableEnded ? 0 : Number.POSITIVE_INFINITY;
  }
  if (request.complete) return 0;
  if (request.headers["transfer-encoding"] !== undefined) return Number.POSITIVE_INFINITY;
  return Number(request.headers["content-length"] ?? 0);
}

/** Headers that apply to a single message on a single connection (RFC 9110 §7.6.1). */
const framing: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/**
 * Removes headers that apply to a single message only. An error that a method received from another server carries
 * those of that server's reply, and Node throws if they are sent over HTTP/2, in trailers even uncatchably.
 */
export function dropFraming(headers: Headers): void {
  for (const name of framing) headers.delete(name);
}

/** Converts headers to a new object as Node takes them. @throws TypeError if HTTP can't carry a value */
export function toFields(headers: Headers | Fields): Fields {
  if (!(Symbol.iterator in headers)) return headers;
  const fields: Fields = {};
  for (const [name, value] of headers) {
    if (framing.has(name)) continue;
    validateHeaderValue(name, value);
    // The only field whose values can't be joined (RFC 6265 §3).
    fields[name] = name === "set-cookie" ? headers.getSetCookie() : value;
  }
  return fields;
}

/**
 * Asks the client to stop sending the request body: RST_STREAM with NO_ERROR after a complete reply (RFC 9113 §8.1).
 * Closing a stream before its trailers are sent would lose them, and can crash Node 20, because nghttp2 then asks for
 * trailers over and over.
 */
function stopReading(request: Http2ServerRequest, hasTrailers: boolean): void {
  if (hasTrailers) request.stream.once("wantTrailers", () => setImmediate(leaveUnread, request));
  // Let the header be sent first: newer versions of nghttp2 drop it if the stream is closed right away.
  else setImmediate(leaveUnread, request);
}

/** Does the same for a reply of connect-node, once it asks for trailers and if the client is still sending. */
export function stopReadingAtEnd(request: Http2ServerRequest): void {
  request.stream.once("wantTrailers", () => {
    if (bytesUnread(request) > 0) setImmediate(leaveUnread, request);
  });
}

function leaveUnread(request: Http2ServerRequest): void {
  request.stream.close(constants.NGHTTP2_NO_ERROR);
  // A partly read stream keeps its connection open until everything received is read, so discard that.
  request.resume();
  request.stream.resume();
}
