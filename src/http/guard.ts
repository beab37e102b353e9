import { randomUUID } from "node:crypto";
import { hasValidHost } from "./host.ts";
import {
  type HttpRefusal,
  headersTooLarge,
  hostInvalid,
  methodUnsupported,
  refusalReply,
  targetTooLong,
  unexpected,
} from "./http-refusal.ts";
import type { HttpLimits } from "./limits.ts";
import { canReply, type NodeHandler, type NodeRequest, type NodeResponse, reply } from "./reply.ts";
import type { OnError } from "./report-fault.ts";

/** Serves a request. `expectsContinue`: the client waits for 100 (Continue) before it sends the body. */
export type Guarded = (request: NodeRequest, response: NodeResponse, expectsContinue: boolean) => void;

/** Wraps a handler with the checks that apply to every request, and answers 500 if it throws or rejects. */
export function guard(handler: NodeHandler, limits: HttpLimits, onError: OnError): Guarded {
  return (request, response, expectsContinue) => {
    // An "error" event without a listener would end the process. Reading and writing have listeners of their own.
    request.on("error", ignore);
    response.on("error", ignore);
    const fail = (error: unknown) => {
      const correlationId = randomUUID();
      onError(error, `the handler of a request failed, answered as ${correlationId}`);
      if (canReply(response)) return refuse(request, response, unexpected(correlationId));
      // Abort the reply, so that a partial one doesn't look complete.
      if (!response.writableEnded) response.destroy(new Error("the handler failed", { cause: error }));
    };
    try {
      const refusal = check(request, limits);
      if (refusal !== undefined) return refuse(request, response, refusal);
      if (expectsContinue) response.writeContinue();
      const returned: unknown = handler(request, response);
      // The type also allows async functions, and an unhandled rejection would end the process.
      if (returned instanceof Promise) returned.catch(fail);
    } catch (error) {
      fail(error);
    }
  };
}

/** Answers instead of the handler. Closes an HTTP/1 connection, because what follows may not be a request at all. */
export function refuse(request: NodeRequest, response: NodeResponse, refusal: HttpRefusal): void {
  if (!canReply(response)) return;
  // Drop the headers that the handler has set, except those that let a script read this reply.
  for (const name of response.getHeaderNames()) {
    if (name !== "vary" && !name.startsWith("access-control-")) response.removeHeader(name);
  }
  if (!("stream" in response)) response.setHeader("connection", "close");
  reply(request, response, refusalReply(refusal));
}

function check(request: NodeRequest, limits: HttpLimits): HttpRefusal | undefined {
  // TRACE would echo headers that a script must not see (ASVS 13.4.4).
  if (request.method === "TRACE") return methodUnsupported;
  if ((request.url ?? "").length > limits.targetBytesMax) return targetTooLong;
  // Node enforces the limit for HTTP/2 only once the client has acknowledged it.
  const isHttp2 = "stream" in request;
  if (isHttp2 && headerListBytes(request.rawHeaders) > limits.headerBytesMax) return headersTooLarge;
  return hasValidHost(request) ? undefined : hostInvalid;
}

/** The size as defined by SETTINGS_MAX_HEADER_LIST_SIZE: name, value and 32 bytes per field (RFC 9113 §6.5.2). */
function headerListBytes(rawHeaders: readonly string[]): number {
  let bytes = rawHeaders.length * 16;
  for (const part of rawHeaders) bytes += part.length;
  return bytes;
}

function ignore(): void {}
