import { type DescMessage, toJsonString } from "@bufbuild/protobuf";
import {
  Code,
  type ConnectError,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type Interceptor,
  type MethodImplSpec,
} from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { parseTimeout as parseConnectTimeout } from "@connectrpc/connect/protocol-connect";
import { parseTimeout as parseGrpcTimeout } from "@connectrpc/connect/protocol-grpc";
import {
  compressionBrotli,
  compressionGzip,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { type CallEnd, callEnd, peerAddress, protocolName, timeoutMsMax } from "../call/call.ts";
import type { EngineOptions } from "../call/engine-options.ts";
import { LazyHeaders } from "../call/lazy-headers.ts";
import {
  abortWhenGone,
  type NodeRequest,
  type NodeResponse,
  peerAddressOf,
  urlOf,
} from "../call/node-http.ts";
import { stopError } from "../call/public-error.ts";
import { bytesUnread, canSend, dropFraming, send, stopReadingAtEnd } from "../call/send.ts";
import { wireError, withErrorInfo } from "../call/wire-error.ts";
import { messageFromJson, parseJson } from "../json/json.ts";
import { contentTypeOf } from "../protocols/codecs.ts";
import { restError } from "../rest/rest.ts";
import { convertReplyError, toReplyError, toRequestError } from "./errors.ts";

/**
 * Creates the connect-node handler of a method. It serves streams, Connect GET, and messages in a compression that the
 * unary engine doesn't read, with the interceptors, limits, errors and JSON rules of the unary engine.
 */
export function createConnectNodeHandler(spec: MethodImplSpec, options: EngineOptions): UniversalHandler {
  const { interceptors, messageBytesMax, errorDomain, shutdownSignal } = options;
  const router = createConnectRouter({
    acceptCompression: [compressionGzip, compressionBrotli],
    readMaxBytes: messageBytesMax,
    shutdownSignal,
    interceptors: [outermostInterceptor(messageBytesMax, errorDomain), ...interceptors],
    jsonOptions: jsonOptionsOf(spec.method.input, errorDomain),
  });
  router.rpc(spec.method, spec.impl);
  return router.handlers[0]!;
}

/**
 * connect-node reads JSON with JSON.parse() and fromJson(), which are too lenient. So the message is first read as in the
 * unary engine, and then passed on in canonical JSON. `textDecoder` is an option of connect that its types don't list.
 */
function jsonOptionsOf(input: DescMessage, errorDomain: string) {
  const decode = (bytes: Uint8Array) => {
    try {
      return toJsonString(input, messageFromJson(input, parseJson(bytes)));
    } catch (thrown) {
      throw withErrorInfo(thrown, errorDomain);
    }
  };
  return { ignoreUnknownFields: true, textDecoder: { decode } };
}

/** Serves a request with connect-node. Never rejects. */
export async function serveConnectNode(
  request: NodeRequest,
  response: NodeResponse,
  handler: UniversalHandler,
  { messageBytesMax, errorDomain, onRefused }: EngineOptions,
): Promise<void> {
  const start = performance.now();
  const protocol = protocolOf(request);
  const call = { isInvoked: false };
  const convertError = (error: ConnectError) => {
    if (call.isInvoked) return toReplyError(error, errorDomain);
    const requestError = toRequestError(error, messageBytesMax, errorDomain);
    onRefused?.({
      method: handler.method,
      protocol,
      error: requestError,
      durationMs: performance.now() - start,
    });
    return requestError;
  };
  try {
    const reply = await handler({
      httpVersion: request.httpVersion,
      method: request.method ?? "",
      url: urlOf(request),
      header: headerOf(request),
      // Keep the socket open: over HTTP/1, the reply goes out on it.
      body: request.iterator({ destroyOnReturn: false }),
      signal: abortWhenGone(request, response).signal,
      contextValues: createContextValues()
        .set(protocolName, protocol)
        .set(peerAddress, peerAddressOf(request))
        .set(callKey, call),
    });
    if (!reply.body) return sendStatus(request, response, reply.status, convertError);
    await sendStream(request, response, await convertReplyError(reply, convertError));
  } catch {
    // Errors of the method are part of the reply. This one means that the reply couldn't be written completely.
    const error = wireError(Code.Internal, "INTERNAL", "internal error");
    if (canSend(response)) send(request, response, restError(convertError(error)));
    // Abort the reply, so that a partial one doesn't look complete.
    else if (!response.writableEnded) response.destroy();
  }
}

async function sendStream(
  request: NodeRequest,
  response: NodeResponse,
  reply: UniversalServerResponse,
): Promise<void> {
  if (!canSend(response)) return;
  const { header = new Headers(), trailer, body } = reply;
  dropFraming(header);
  // The client sent a type without a format, which means proto. Answer with the type that it sent.
  const requestType = contentTypeOf(request.headers["content-type"]);
  if (header.get("content-type") === `${requestType}+proto`) header.set("content-type", requestType);
  header.set("cache-control", "no-store");
  if ("stream" in request) stopReadingAtEnd(request);
  else if (bytesUnread(request) > 0) header.set("connection", "close");
  const frames = body && endOnClose(body, response);
  await universalResponseToNodeResponse({ status: reply.status, header, body: frames, trailer }, response);
}

/** Ends a stream when the client disconnects. connect-node would wait forever for the socket to drain. */
function endOnClose(frames: AsyncIterable<Uint8Array>, response: NodeResponse): AsyncIterable<Uint8Array> {
  const iterator = frames[Symbol.asyncIterator]();
  response.once("close", () => void iterator.return?.().catch(() => {}));
  return { [Symbol.asyncIterator]: () => iterator };
}

/** Sends an error where connect-node replies with a bare status. */
function sendStatus(
  request: NodeRequest,
  response: NodeResponse,
  status: number,
  convertError: (error: ConnectError) => ConnectError,
): void {
  const error =
    status === 415
      ? wireError(
          Code.InvalidArgument,
          "MEDIA_TYPE_UNSUPPORTED",
          "this encoding is not supported: use json or proto",
        )
      : wireError(Code.Unimplemented, "UNIMPLEMENTED", "bidirectional streaming needs HTTP/2");
  send(request, response, { ...restError(convertError(error)), status });
}

/** The headers, with a normalized content type, and without a deadline beyond the range of timers: it would expire at once. */
function headerOf(request: NodeRequest): Headers {
  const header = new LazyHeaders(request.rawHeaders);
  const contentType = header.get("content-type");
  if (contentType !== null) header.set("content-type", contentTypeOf(contentType));
  for (const [name, parse] of [
    ["connect-timeout-ms", parseConnectTimeout],
    ["grpc-timeout", parseGrpcTimeout],
  ] as const) {
    const { timeoutMs = 0 } = parse(header.get(name), Number.POSITIVE_INFINITY);
    if (timeoutMs > timeoutMsMax) header.delete(name);
  }
  return header;
}

function protocolOf(request: NodeRequest): string {
  const contentType = request.headers["content-type"] ?? "";
  return /^application\/(grpc(?:-web)?)/i.exec(contentType)?.[1]?.toLowerCase() ?? "connect";
}

const callKey = createContextKey({ isInvoked: false }, { description: "whether the interceptors ran" });

class SignalEnd implements CallEnd {
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  get isStopped(): boolean {
    return this.#signal.aborted;
  }
}

/**
 * The outermost interceptor. It adds ErrorInfo to every error of the method and of the request stream, and ends the call at
 * its deadline or when the client disconnects, even if the method ignores its signal.
 */
function outermostInterceptor(messageBytesMax: number, errorDomain: string): Interceptor {
  return (next) => async (request) => {
    request.contextValues.get(callKey).isInvoked = true;
    const { signal } = request;
    request.contextValues.set(callEnd, new SignalEnd(signal));
    try {
      // Don't call the method if the deadline has already passed.
      if (signal.aborted) throw stopError(signal.reason);
      if (!request.stream) return await untilAborted(next(request), signal);
      const input = convertErrors(request.message, signal, (thrown) =>
        toRequestError(thrown, messageBytesMax, errorDomain),
      );
      const response = await untilAborted(next({ ...request, message: input }), signal);
      return response.stream
        ? {
            ...response,
            message: convertErrors(response.message, signal, (thrown) => withErrorInfo(thrown, errorDomain)),
          }
        : response;
    } catch (thrown) {
      throw withErrorInfo(thrown, errorDomain);
    }
  };
}

/** Passes messages on until the signal aborts, and converts errors. */
async function* convertErrors<T>(
  messages: AsyncIterable<T>,
  signal: AbortSignal,
  convert: (thrown: unknown) => ConnectError,
): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await untilAborted(iterator.next(), signal);
      if (done) return;
      yield value;
    }
  } catch (thrown) {
    throw convert(thrown);
  } finally {
    // Don't wait: a method that ignores its signal may never return.
    iterator.return?.().catch(() => {});
  }
}

/** Settles like `outcome`, or rejects as soon as the signal aborts, even if `outcome` never settles. */
function untilAborted<T>(outcome: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(stopError(signal.reason));
    const stopListening = () => signal.removeEventListener("abort", abort);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    outcome.then(resolve, reject).finally(stopListening);
  });
}
