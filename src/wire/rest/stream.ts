import type { ServerResponse } from "node:http";
import { constants } from "node:http2";
import type { Message } from "@bufbuild/protobuf";
import type { ConnectError, HandlerContext, MethodImplSpec } from "@connectrpc/connect";
import { createAsyncIterable, transformInvokeImplementation } from "@connectrpc/connect/protocol";
import { Call } from "../call/call.ts";
import { type Codec, encodeError } from "../call/codec.ts";
import type { EngineOptions } from "../call/engine-options.ts";
import { contextOf } from "../call/invoke.ts";
import type { NodeRequest, NodeResponse } from "../call/node-http.ts";
import { toPublicError } from "../call/public-error.ts";
import { canSend, toFields } from "../call/send.ts";
import { readMessage, sendReply } from "../call/unary-engine.ts";
import { encodeResponse, type RestRoute, replyType } from "./rest.ts";

/** A server-streaming method and its implementation. */
export type StreamSpec = Extract<MethodImplSpec, { kind: "server_streaming" }>;

export interface StreamCall {
  readonly spec: StreamSpec;
  readonly route: RestRoute;
  readonly codec: Codec;
}

/**
 * Serves a server-streaming method over REST: one line of JSON per message (`application/x-ndjson`), or, for messages of
 * type google.api.HttpBody, their concatenated bytes with the content type of the first.
 *
 * The status is sent with the first message, so an earlier error is an ordinary error reply. A later error is the last
 * line, `{"error": <google.rpc.Status>}`; a stream of bytes has no place for it and is aborted. The next message is
 * read once the socket has accepted the previous one. Nothing is compressed, so that each line arrives as soon as it is sent.
 *
 * Never rejects.
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
    if (canSend(response)) {
      const reply = encodeError(codec, error, options, call.responseHeader, call.responseTrailer);
      sendReply(request, response, codec, reply, options);
    } else if (!call.isGone) {
      if (route.isRawReply) abort(response);
      else (response as ServerResponse).end(errorLine(codec, error, options));
    }
  } finally {
    call.end(options);
    // Don't wait: a method that ignores its signal may never return.
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
  // RFC 9110 §9.3.2: HEAD gets the headers only, so don't produce the messages.
  while (next && request.method !== "HEAD") {
    if (!(response as ServerResponse).write(next.body)) await call.untilStopped(drained(response));
    next = await encodeNext();
  }
  response.end();
}

/** @throws TypeError, before anything is sent, if a header has a value that HTTP can't carry. */
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

function errorLine(codec: Codec, error: ConnectError, options: EngineOptions): string {
  return `{"error":${Buffer.from(encodeError(codec, error, options).body).toString()}}\n`;
}

/** Aborts a reply, so that a partial one doesn't look complete. */
function abort(response: NodeResponse): void {
  if ("stream" in response) response.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  else response.destroy();
}
