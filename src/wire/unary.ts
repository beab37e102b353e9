import type { IncomingMessage, ServerResponse } from "node:http";
import {
  constants,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Stream,
} from "node:http2";
import type { DescMethodUnary, DescService, Message } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createContextKey,
  createContextValues,
  createHandlerContext,
  type HandlerContext,
  type Interceptor,
  type MethodImplSpec,
} from "@connectrpc/connect";
import { invokeUnaryImplementation } from "@connectrpc/connect/protocol";
import { wireError, withErrorInfo } from "./wire-error.ts";

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;
export type NodeHandler = (request: NodeRequest, response: NodeResponse) => void;

/** The protocol of a call: "connect", "grpc", "grpc-web" or "rest". For interceptors. */
export const protocolName = createContextKey("", { description: "protocol of the call" });
/** The address at the other end of the socket. For interceptors. */
export const peerAddress = createContextKey<string | undefined>(undefined, { description: "peer address" });

/** A unary method, ready to be called. */
export interface Endpoint {
  readonly spec: Extract<MethodImplSpec, { kind: "unary" }>;
  readonly service: DescService;
  readonly method: DescMethodUnary;
}

/** How one protocol spells a call: bytes to message and back. It knows no sockets. */
export interface Codec {
  readonly protocol: string;
  /** The deadline that the headers ask for, in milliseconds. @throws INVALID_ARGUMENT */
  timeoutMs(header: Headers): number | undefined;
  /** @throws ConnectError if the body is not a message. */
  decode(header: Headers, body: Uint8Array): Promise<Message> | Message;
  reply(context: HandlerContext, message: Message): Promise<Reply> | Reply;
  /** `header` and `trailer`: what the method set before it failed. */
  error(error: ConnectError, header: Headers, trailer: Headers): Reply;
}

export interface Reply {
  readonly status: number;
  readonly header: Headers;
  readonly body: Uint8Array;
  /** HTTP trailers (gRPC). */
  readonly trailer?: Headers;
}

export interface LaneOptions {
  readonly interceptors: Interceptor[];
  /** Of a message, also after decompression. */
  readonly messageBytesMax: number;
  /** Told of requests that are answered with an error before any interceptor sees them. It must not throw. */
  readonly onRefused?: ((refused: RefusedRequest) => void) | undefined;
}

export interface RefusedRequest {
  /** Undefined where no method was found. */
  readonly method: DescMethodUnary | undefined;
  readonly protocol: string;
  readonly error: ConnectError;
  readonly durationMs: number;
}

/** Decodes, calls and answers one unary request. It rejects only if not even an error can be sent. */
export async function serveUnary(
  request: NodeRequest,
  response: NodeResponse,
  endpoint: Endpoint,
  codec: Codec,
  options: LaneOptions,
): Promise<void> {
  const start = performance.now();
  const header = headersOf(request);
  const gone = abortWhenGone(request, response);
  let context: ReturnType<typeof createHandlerContext> | undefined;
  let reply: Reply;
  try {
    const timeoutMs = codec.timeoutMs(header);
    const body = await readBody(request, bodyBytesMax(options, codec), options.messageBytesMax);
    const message = await codec.decode(header, body);
    context = createHandlerContext({
      service: endpoint.service,
      method: endpoint.method,
      protocolName: codec.protocol,
      requestMethod: request.method ?? "POST",
      url: `http://service${request.url ?? "/"}`,
      timeoutMs,
      requestSignal: gone.signal,
      requestHeader: header,
      contextValues: createContextValues()
        .set(protocolName, codec.protocol)
        .set(peerAddress, request.socket?.remoteAddress),
    });
    reply = await codec.reply(context, await call(endpoint, context, message, options));
  } catch (thrown) {
    const error = withErrorInfo(thrown);
    if (!context) {
      const durationMs = performance.now() - start;
      options.onRefused?.({ method: endpoint.method, protocol: codec.protocol, error, durationMs });
    }
    reply = codec.error(
      error,
      context?.responseHeader ?? new Headers(),
      context?.responseTrailer ?? new Headers(),
    );
  } finally {
    context?.abort();
    gone.stop();
  }
  send(request, response, reply);
}

/** Calls the method. A deadline or a client that went away ends the wait, whether or not the method notices. */
async function call(
  { spec }: Endpoint,
  context: ReturnType<typeof createHandlerContext>,
  message: Message,
  { interceptors }: LaneOptions,
): Promise<Message> {
  const { signal } = context;
  const outcome = invokeUnaryImplementation(spec, context, message, interceptors);
  return await new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason instanceof ConnectError ? withReason(signal.reason) : canceled());
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    outcome.then(resolve, reject);
  });
}

function withReason(error: ConnectError): ConnectError {
  if (error.code !== Code.DeadlineExceeded) return error;
  return wireError(
    Code.DeadlineExceeded,
    "DEADLINE_EXCEEDED",
    "the deadline of the call has passed: allow more time",
  );
}

function canceled(): ConnectError {
  return wireError(Code.Canceled, "CANCELED", "the client went away");
}

/** How long a body can be whose message is not too large: frames and base64 add to it. */
function bodyBytesMax({ messageBytesMax }: LaneOptions, { protocol }: Codec): number {
  if (protocol === "grpc") return messageBytesMax + 5;
  if (protocol === "grpc-web") return Math.ceil((messageBytesMax + 5) / 3) * 4;
  return messageBytesMax;
}

/** The headers of a request, without those of HTTP/2 itself. Repeated ones are joined. */
function headersOf(request: NodeRequest): Headers {
  const headers = new Headers();
  const { rawHeaders } = request;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? "";
    if (!name.startsWith(":")) headers.append(name, rawHeaders[i + 1] ?? "");
  }
  return headers;
}

/**
 * Reads a body of at most `bytesMax`, which is what a message of `messageBytesMax` comes to.
 *
 * @throws RESOURCE_EXHAUSTED as soon as it is longer, or says that it will be.
 */
async function readBody(
  request: NodeRequest,
  bytesMax: number,
  messageBytesMax: number,
): Promise<Uint8Array> {
  if (Number(request.headers["content-length"] ?? 0) > bytesMax) throw tooLarge(messageBytesMax);
  return await new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const read = (chunk: Buffer) => {
      length += chunk.length;
      chunks.push(chunk);
      if (length <= bytesMax) return;
      request.off("data", read);
      request.pause();
      reject(tooLarge(messageBytesMax));
    };
    request.on("data", read);
    request.once("end", () =>
      resolve(chunks.length === 1 ? (chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(chunks)),
    );
    request.once("error", () => reject(canceled()));
    request.once("aborted", () => reject(canceled()));
    request.once("close", () => reject(canceled()));
  });
}

export function tooLarge(bytesMax: number): ConnectError {
  return wireError(
    Code.ResourceExhausted,
    "REQUEST_TOO_LARGE",
    `the message is too large: send at most ${bytesMax} bytes`,
  );
}

function abortWhenGone(request: NodeRequest, response: NodeResponse) {
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

/** Sends a reply, if there still is somebody to send it to. */
export function send(request: NodeRequest, response: NodeResponse, reply: Reply): void {
  if (response.headersSent || response.destroyed || response.writableEnded) return;
  if (
    "stream" in response &&
    (response.stream === undefined || response.stream.destroyed || response.stream.closed)
  ) {
    return;
  }
  const unread = !request.complete;
  for (const [name, value] of reply.header) response.setHeader(name, value);
  response.setHeader("cache-control", "no-store");
  if (!("stream" in response) && unread) response.setHeader("connection", "close");
  const trailer = reply.trailer && Object.fromEntries(reply.trailer);
  // RFC 9110 §8.6: no length where there can be no content.
  if (!trailer && reply.status !== 204) response.setHeader("content-length", reply.body.length);
  response.writeHead(reply.status);
  if (request.method !== "HEAD" && reply.body.length > 0) (response as ServerResponse).write(reply.body);
  if (trailer) (response as ServerResponse).addTrailers(trailer);
  response.end();
  if (unread && "stream" in response) stopReading(response.stream, trailer !== undefined);
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
