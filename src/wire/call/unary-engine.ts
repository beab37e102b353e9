import type { Message } from "@bufbuild/protobuf";
import { Call } from "./call.ts";
import { type Codec, encodeError } from "./codec.ts";
import type { EngineOptions } from "./engine-options.ts";
import { invoke, type UnarySpec } from "./invoke.ts";
import type { NodeRequest, NodeResponse } from "./node-http.ts";
import { toPublicError } from "./public-error.ts";
import { readBody } from "./read-body.ts";
import { type Reply, send } from "./send.ts";

/** Serves one unary call: reads the message, calls the method and sends the reply. Never rejects. */
export async function serveUnary(
  request: NodeRequest,
  response: NodeResponse,
  spec: UnarySpec,
  codec: Codec,
  options: EngineOptions,
): Promise<void> {
  const start = performance.now();
  const call = new Call(request, response, codec.protocol);
  let isInvoked = false;
  let reply: Reply;
  try {
    call.begin(codec.timeoutMs(call.requestHeader), options);
    const message = await readMessage(request, call, codec, options.messageBytesMax);
    isInvoked = true;
    const {
      message: output,
      header,
      trailer,
    } = await call.untilStopped(invoke(spec, call, message, options.interceptors));
    const context = { requestHeader: call.requestHeader, responseHeader: header, responseTrailer: trailer };
    const encoded = codec.reply(context, output);
    reply = encoded instanceof Promise ? await call.untilStopped(encoded) : encoded;
  } catch (thrown) {
    const error = toPublicError(thrown, call, options);
    if (!isInvoked) {
      const durationMs = performance.now() - start;
      options.onRefused?.({ method: spec.method, protocol: codec.protocol, error, durationMs });
    }
    reply = encodeError(codec, error, options, call.responseHeader, call.responseTrailer);
  } finally {
    call.end(options);
  }
  sendReply(request, response, codec, reply, options);
}

/** Reads the one message of a request. @throws ConnectError, or the reason the call was stopped for */
export async function readMessage(
  request: NodeRequest,
  call: Call,
  codec: Codec,
  messageBytesMax: number,
): Promise<Message> {
  const body = await readBody(request, codec, messageBytesMax, call);
  const message = codec.decode(call.requestHeader, body);
  return message instanceof Promise ? call.untilStopped(message) : message;
}

/** Sends a reply, or an error instead if the reply has a header that HTTP can't carry. */
export function sendReply(
  request: NodeRequest,
  response: NodeResponse,
  codec: Codec,
  reply: Reply,
  options: EngineOptions,
): void {
  try {
    send(request, response, reply);
  } catch (thrown) {
    send(request, response, encodeError(codec, thrown, options));
  }
}
