import { validateHeaderValue } from "node:http";
import { constants, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import { LazyHeaders } from "./lazy-headers.ts";
import type { NodeRequest, NodeResponse } from "./node-http.ts";

/** Header fields by their names in lower case, with values that HTTP can carry. They are changed when they are sent. */
export type Fields = Record<string, string | string[]>;

/** An answer as a whole. */
export interface Reply {
  readonly status: number;
  readonly header: Headers | Fields;
  /** Text is sent as UTF-8: with HTTP/1 in one piece with the header. */
  readonly body: Uint8Array | string;
  /** HTTP trailers (gRPC). */
  readonly trailer?: Headers | Fields;
}

/**
 * Sends a reply, if there still is somebody to send it to. What the client still sends is not read.
 *
 * @throws TypeError, with nothing sent, if a header has a value that HTTP cannot carry.
 */
export function send(request: NodeRequest, response: NodeResponse, reply: Reply): void {
  if (!canSend(response)) return;
  const { status, body } = reply;
  const fields = toFields(reply.header);
  const trailers = reply.trailer && toFields(reply.trailer);
  const unread = bytesUnread(request);

  fields["cache-control"] = "no-store";
  // RFC 9110 §8.6: no length where there can be no content.
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

/** Over the stream itself: the response that node:http2 puts around it does nothing that is needed here. */
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
  // The response sends them when the stream asks for trailers, whoever has sent the rest.
  if (trailers) response.addTrailers(trailers as Record<string, string>);
  if (hasContent) stream.end(content);
  else if (trailers) stream.end();
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
  if ("stream" in request) {
    const { endAfterHeaders, readableEnded } = request.stream;
    return endAfterHeaders || readableEnded ? 0 : Number.POSITIVE_INFINITY;
  }
  if (request.complete) return 0;
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

/** Header fields as Node takes them, in an object of their own. @throws TypeError if HTTP cannot carry a value */
export function toFields(headers: Headers | Fields): Fields {
  if (!(headers instanceof Headers)) return headers;
  const fields: Fields = {};
  if (LazyHeaders.isEmpty(headers)) return fields;
  dropFraming(headers);
  for (const [name, value] of headers) {
    validateHeaderValue(name, value);
    // The one field whose values cannot be joined (RFC 6265 §3).
    fields[name] = name === "set-cookie" ? headers.getSetCookie() : value;
  }
  return fields;
}

/**
 * What the client still sends is not wanted: RFC 9113 §8.1 has RST_STREAM with NO_ERROR for that, behind a whole reply.
 * To close a stream whose trailers are still to be sent would lose them, and on Node 20 can end the process: nghttp2
 * then asks for them without end.
 */
function stopReading(request: Http2ServerRequest, hasTrailers: boolean): void {
  if (hasTrailers) request.stream.once("wantTrailers", () => setImmediate(leaveUnread, request));
  // Not before the header is on its way: without content to wait for, newer nghttp2 would drop it.
  else setImmediate(leaveUnread, request);
}

/** The same for a reply of connect-node, which ends with trailers: if the client still sends then. */
export function stopReadingAtEnd(request: Http2ServerRequest): void {
  request.stream.once("wantTrailers", () => {
    if (bytesUnread(request) > 0) setImmediate(leaveUnread, request);
  });
}

function leaveUnread(request: Http2ServerRequest): void {
  request.stream.close(constants.NGHTTP2_NO_ERROR);
  // A stream that was begun to be read lives until all that came is read, and its connection with it: so it is dropped.
  request.resume();
  request.stream.resume();
}
