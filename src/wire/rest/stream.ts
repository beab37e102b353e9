import type { ServerResponse } from "node:http";
import { constants } from "node:http2";
import type { Message } from "@bufbuild/protobuf";
import type { ConnectError, HandlerContext, MethodImplSpec } from "@connectrpc/connect";
import { createAsyncIterable, transformInvokeImplementation } from "@connectrpc/connect/protocol";
import { Call } from "../call/call.ts";
import { contextOf } from "../call/invoke.ts";
import type { NodeRequest, NodeResponse } from "../call/node-http.ts";
import { canSend, send, toFields } from "../call/send.ts";
import { type Codec, type EngineOptions, encodeError, readMessage, toPublicError } from "../call/unary.ts";
import { encodeResponse, type RestRoute, replyType } from "./rest.ts";

/** A method that streams its replies, and what it does. */
export type StreamSpec = Extract<MethodImplSpec, { kind: "server_streaming" }>;

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
  options: EngineOptions,
): Promise<void> {
  const start = performance.now();
  const call = new Call(request, response, codec.protocol);
  let messages: AsyncIterator<Message> | undefined;
  try {
    call.begin(codec.timeoutMs(call.requestHeader), options);
    const input = createAsyncIterable([await readMessage(request, call, codec, options.messageBytesMax)]);
    const output = transformInvokeImplementation(spec, contextFor(spec, call), options.interceptors)(input);
    messages = output[Symbol.asyncIterator]() as AsyncIterator<Message>;
    await sendMessages(request, response, route, call, messages);
  } catch (thrown) {
    const error = toPublicError(thrown, call, options);
    if (!messages) {
      const durationMs = performance.now() - start;
      options.onRefused?.({ method: spec.method, protocol: codec.protocol, error, durationMs });
    }
    if (canSend(response)) sendError(request, response, codec, error, call, options);
    else if (!call.isGone && route.isRawReply) breakOff(response);
    else if (!call.isGone) (response as ServerResponse).end(errorLine(codec, error, options));
  } finally {
    call.end(options);
    // Not waited for: a method that does not notice its signal may never come to its end.
    messages?.return?.().catch(() => {});
  }
}

function contextFor({ method }: StreamSpec, call: Call): HandlerContext {
  const { requestHeader: header, values: contextValues, signal } = call;
  return contextOf(call, { service: method.parent, method: method as never, header, contextValues, signal });
}

async function sendMessages(
  request: NodeRequest,
  response: NodeResponse,
  route: RestRoute,
  call: Call,
  messages: AsyncIterator<Message>,
): Promise<void> {
  const encodeNext = async () => {
    const { done, value } = await call.untilStopped(messages.next());
    return done ? undefined : encodeResponse(route, value);
  };
  let next = await encodeNext();
  writeHead(response, call.responseHeader, next?.contentType ?? replyType(route));
  // RFC 9110 §9.3.2: what GET would have sent is not made for HEAD.
  while (next && request.method !== "HEAD") {
    if (!(response as ServerResponse).write(next.body)) await call.untilStopped(drained(response));
    next = await encodeNext();
  }
  response.end();
}

/** @throws TypeError, with nothing sent, if a header has a value that HTTP cannot carry. */
function writeHead(response: NodeResponse, responseHeader: Headers, contentType: string): void {
  const header = new Headers(responseHeader);
  header.set("content-type", contentType);
  header.set("cache-control", "no-store");
  for (const [name, value] of Object.entries(toFields(header))) response.setHeader(name, value);
  response.writeHead(200);
}

function drained(response: NodeResponse): Promise<void> {
  return new Promise((resolve) => {
    response.once("drain", resolve);
  });
}

function sendError(
  request: NodeRequest,
  response: NodeResponse,
  codec: Codec,
  error: ConnectError,
  call: Call,
  options: EngineOptions,
): void {
  try {
    send(request, response, encodeError(codec, error, options, call.responseHeader, call.responseTrailer));
  } catch (thrown) {
    // A header that HTTP cannot carry. Nothing of the reply has been sent.
    send(request, response, encodeError(codec, thrown, options));
  }
}

function errorLine(codec: Codec, error: ConnectError, options: EngineOptions): string {
  return `{"error":${Buffer.from(encodeError(codec, error, options).body).toString()}}\n`;
}

/** Half a reply must not look like a whole one. */
function breakOff(response: NodeResponse): void {
  if ("stream" in response) response.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  else response.destroy();
}
