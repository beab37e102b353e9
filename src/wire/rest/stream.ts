import type { ServerResponse } from "node:http";
import { constants } from "node:http2";
import type { Message } from "@bufbuild/protobuf";
import type { ConnectError, MethodImplSpec } from "@connectrpc/connect";
import { createAsyncIterable, transformInvokeImplementation } from "@connectrpc/connect/protocol";
import { abortWhenGone, type NodeRequest, type NodeResponse } from "../node-http.ts";
import { canSend, fieldsOf, send } from "../send.ts";
import { type Codec, createContext, encodeError, type LaneOptions, readMessage, reasonOf } from "../unary.ts";
import { withErrorInfo } from "../wire-error.ts";
import { encodeResponse, type RestRoute, replyType } from "./rest.ts";

/** A method that streams its replies, and what it does. */
export type StreamSpec = Extract<MethodImplSpec, { kind: "server_streaming" }>;

type CallContext = ReturnType<typeof createContext>;

export interface StreamCall {
  readonly spec: StreamSpec;
  readonly route: RestRoute;
  readonly codec: Codec;
}

/**
 * Answers one request with a stream: of JSON, a message a line (`application/x-ndjson`), or, if the messages are
 * google.api.HttpBody, of their bytes one after the other, with the content type of the first.
 *
 * The status waits for the first message, so an error before it is an ordinary reply. An error behind it is the last
 * line, `{"error": <google.rpc.Status>}`; a stream of bytes has no place for one and breaks off. The next message is
 * asked for when the socket has taken the one before. Nothing is compressed: a line is to be seen when it is sent.
 *
 * It never rejects.
 */
export async function serveStream(
  request: NodeRequest,
  response: NodeResponse,
  { spec, route, codec }: StreamCall,
  options: LaneOptions,
): Promise<void> {
  const start = performance.now();
  const gone = abortWhenGone(request, response);
  let context: CallContext | undefined;
  let messages: AsyncIterator<Message> | undefined;
  try {
    context = createContext(request, spec.method, codec, options.shutdownSignal, gone.signal);
    const input = createAsyncIterable([await readMessage(request, context, codec, options.messageBytesMax)]);
    const output = transformInvokeImplementation(spec, context, options.interceptors)(input);
    messages = output[Symbol.asyncIterator]() as AsyncIterator<Message>;
    await sendMessages(request, response, route, context, messages);
  } catch (thrown) {
    const error = withErrorInfo(context?.signal.aborted ? reasonOf(context.signal, thrown) : thrown);
    if (!messages) {
      const durationMs = performance.now() - start;
      options.onRefused?.({ method: spec.method, protocol: codec.protocol, error, durationMs });
    }
    if (canSend(response)) sendError(request, response, codec, error, context);
    else if (!gone.signal.aborted && route.isRawReply) breakOff(response);
    else if (!gone.signal.aborted) (response as ServerResponse).end(errorLine(codec, error));
  } finally {
    context?.abort();
    gone.stop();
    // Not waited for: a method that does not notice its signal may never come to its end.
    messages?.return?.().catch(() => {});
  }
}

async function sendMessages(
  request: NodeRequest,
  response: NodeResponse,
  route: RestRoute,
  { signal, responseHeader }: CallContext,
  messages: AsyncIterator<Message>,
): Promise<void> {
  const wait = waiterFor(signal);
  const encodeNext = async () => {
    const { done, value } = await wait(messages.next());
    return done ? undefined : encodeResponse(route, value);
  };
  let next = await encodeNext();
  writeHead(response, responseHeader, next?.contentType ?? replyType(route));
  // RFC 9110 §9.3.2: what GET would have sent is not made for HEAD.
  while (next && request.method !== "HEAD") {
    if (!(response as ServerResponse).write(next.body)) await wait(drained(response));
    next = await encodeNext();
  }
  response.end();
}

/** @throws TypeError, with nothing sent, if a header has a value that HTTP cannot carry. */
function writeHead(response: NodeResponse, responseHeader: Headers, contentType: string): void {
  const header = new Headers(responseHeader);
  header.set("content-type", contentType);
  header.set("cache-control", "no-store");
  for (const [name, value] of fieldsOf(header)) response.setHeader(name, value);
  response.writeHead(200);
}

function drained(response: NodeResponse): Promise<void> {
  return new Promise((resolve) => {
    response.once("drain", resolve);
  });
}

/**
 * Waits for one outcome after the other, but no longer than until the signal aborts. There is one listener for all of
 * them: a stream may go on for days.
 */
function waiterFor(signal: AbortSignal): <T>(outcome: Promise<T>) => Promise<T> {
  let reject = (_reason: unknown) => {};
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  return (outcome) =>
    new Promise((resolve, rejectThis) => {
      reject = rejectThis;
      if (signal.aborted) reject(signal.reason);
      outcome.then(resolve, rejectThis);
    });
}

function sendError(
  request: NodeRequest,
  response: NodeResponse,
  codec: Codec,
  error: ConnectError,
  context: CallContext | undefined,
): void {
  try {
    send(request, response, encodeError(codec, error, context));
  } catch (thrown) {
    // A header that HTTP cannot carry. Nothing of the reply has been sent.
    send(request, response, encodeError(codec, withErrorInfo(thrown)));
  }
}

function errorLine(codec: Codec, error: ConnectError): string {
  return `{"error":${Buffer.from(encodeError(codec, error).body).toString()}}\n`;
}

/** Half a reply must not look like a whole one. */
function breakOff(response: NodeResponse): void {
  if ("stream" in response) response.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  else response.destroy();
}
