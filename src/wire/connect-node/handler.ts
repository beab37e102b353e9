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
import {
  abortWhenGone,
  headersOf,
  type NodeRequest,
  type NodeResponse,
  peerAddressOf,
  urlOf,
} from "../call/node-http.ts";
import { bytesUnread, canSend, dropFraming, send, stopReadingAtEnd } from "../call/send.ts";
import { type EngineOptions, stopError } from "../call/unary.ts";
import { wireError, withErrorInfo } from "../call/wire-error.ts";
import { messageFromJson, parseJson } from "../json/json.ts";
import { contentTypeOf } from "../protocols/codecs.ts";
import { restError } from "../rest/rest.ts";
import { explainInput, explainOutput, explainReply } from "./errors.ts";

/**
 * What connect-node makes of a method: streams, Connect GET, and messages in a coding that the lane does not read. It
 * has the interceptors, the limits and the errors of the lane, and its JSON.
 */
export function createConnectNodeHandler(spec: MethodImplSpec, options: EngineOptions): UniversalHandler {
  const { interceptors, messageBytesMax, errorDomain, shutdownSignal } = options;
  const router = createConnectRouter({
    acceptCompression: [compressionGzip, compressionBrotli],
    readMaxBytes: messageBytesMax,
    shutdownSignal,
    interceptors: [explainErrors(messageBytesMax, errorDomain), ...interceptors],
    jsonOptions: jsonOptionsOf(spec.method.input, errorDomain),
  });
  router.rpc(spec.method, spec.impl);
  return router.handlers[0]!;
}

/**
 * connect-node reads JSON as JSON.parse and fromJson do. Before it, the message is read as in the lane, which refuses
 * what those take too kindly, and is handed on in one spelling. The hook is connect's own, to be found in no type.
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

/** Answers one request by connect-node. It never rejects. */
export async function serveConnectNode(
  request: NodeRequest,
  response: NodeResponse,
  handler: UniversalHandler,
  { messageBytesMax, errorDomain, onRefused }: EngineOptions,
): Promise<void> {
  const start = performance.now();
  const protocol = protocolOf(request);
  const call = { isCalled: false };
  const refused = (error: ConnectError) => {
    if (call.isCalled) return explainOutput(error, errorDomain);
    const explained = explainInput(error, messageBytesMax, errorDomain);
    onRefused?.({
      method: handler.method,
      protocol,
      error: explained,
      durationMs: performance.now() - start,
    });
    return explained;
  };
  try {
    const reply = await handler({
      httpVersion: request.httpVersion,
      method: request.method ?? "",
      url: urlOf(request),
      header: headerOf(request),
      // Not destroyed with the iterator: on HTTP/1 the reply goes over the same socket.
      body: request.iterator({ destroyOnReturn: false }),
      signal: abortWhenGone(request, response).signal,
      contextValues: createContextValues()
        .set(protocolName, protocol)
        .set(peerAddress, peerAddressOf(request))
        .set(callKey, call),
    });
    if (!reply.body) return sendStatus(request, response, reply.status, refused);
    await sendStream(request, response, await explainReply(reply, refused));
  } catch {
    // Not an error of the method, which is in the reply: the reply cannot be written, or not to its end.
    const error = wireError(Code.Internal, "INTERNAL", "internal error");
    if (canSend(response)) send(request, response, restError(refused(error)));
    // Half a reply must not look like a whole one.
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
  // Proto without being named: the client is answered in the type that it is known to read.
  const asked = contentTypeOf(request.headers["content-type"]);
  if (header.get("content-type") === `${asked}+proto`) header.set("content-type", asked);
  header.set("cache-control", "no-store");
  if ("stream" in request) stopReadingAtEnd(request);
  else if (bytesUnread(request) > 0) header.set("connection", "close");
  const frames = body && endOnClose(body, response);
  await universalResponseToNodeResponse({ status: reply.status, header, body: frames, trailer }, response);
}

/** Ends a stream whose client goes away. connect-node waits without end for a client that has left to take the next bytes. */
function endOnClose(frames: AsyncIterable<Uint8Array>, response: NodeResponse): AsyncIterable<Uint8Array> {
  const iterator = frames[Symbol.asyncIterator]();
  response.once("close", () => void iterator.return?.().catch(() => {}));
  return { [Symbol.asyncIterator]: () => iterator };
}

/** Says why, where connect-node answers with nothing but a status. */
function sendStatus(
  request: NodeRequest,
  response: NodeResponse,
  status: number,
  refused: (error: ConnectError) => ConnectError,
): void {
  const error =
    status === 415
      ? wireError(
          Code.InvalidArgument,
          "MEDIA_TYPE_UNSUPPORTED",
          "the encoding is not supported: use json or proto",
        )
      : wireError(Code.Unimplemented, "UNIMPLEMENTED", "a method that streams both ways needs HTTP/2");
  send(request, response, { ...restError(refused(error)), status });
}

/**
 * The headers, without a deadline that no timer can count to: it would have passed at once; and the content type as
 * the router knows it.
 */
function headerOf(request: NodeRequest): Headers {
  const header = headersOf(request);
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

const callKey = createContextKey({ isCalled: false }, { description: "whether interceptors saw the call" });

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
 * The first interceptor: every error that comes from within, or from the request, leaves it with ErrorInfo, and a call
 * ends when its time is up or its client is gone, whether or not its method notices.
 */
function explainErrors(messageBytesMax: number, errorDomain: string): Interceptor {
  return (next) => async (request) => {
    request.contextValues.get(callKey).isCalled = true;
    const { signal } = request;
    request.contextValues.set(callEnd, new SignalEnd(signal));
    try {
      // A deadline that has passed: the method must have no effect.
      if (signal.aborted) throw stopError(signal.reason);
      if (!request.stream) return await untilAborted(next(request), signal);
      const input = explained(request.message, signal, (thrown) =>
        explainInput(thrown, messageBytesMax, errorDomain),
      );
      const response = await untilAborted(next({ ...request, message: input }), signal);
      return response.stream
        ? {
            ...response,
            message: explained(response.message, signal, (thrown) => withErrorInfo(thrown, errorDomain)),
          }
        : response;
    } catch (thrown) {
      throw withErrorInfo(thrown, errorDomain);
    }
  };
}

async function* explained<T>(
  messages: AsyncIterable<T>,
  signal: AbortSignal,
  explain: (thrown: unknown) => ConnectError,
): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await untilAborted(iterator.next(), signal);
      if (done) return;
      yield value;
    }
  } catch (thrown) {
    throw explain(thrown);
  } finally {
    // Not waited for: a method that does not notice its signal may never come to its end.
    iterator.return?.().catch(() => {});
  }
}

/** Waits for an outcome, but no longer than until the signal aborts, whether or not whoever works on it notices. */
function untilAborted<T>(outcome: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(stopError(signal.reason));
    const stopListening = () => signal.removeEventListener("abort", abort);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    outcome.then(resolve, reject).finally(stopListening);
  });
}
