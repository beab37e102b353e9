import { randomUUID } from "node:crypto";
import { hasValidHost } from "./host.ts";
import type { HttpLimits } from "./limits.ts";
import {
  headersTooLarge,
  hostInvalid,
  methodUnsupported,
  type Refusal,
  refusalReply,
  targetTooLong,
  unexpected,
} from "./refusal.ts";
import { canReply, type NodeHandler, type NodeRequest, type NodeResponse, reply } from "./reply.ts";
import type { OnError } from "./report.ts";

/** Calls the handler. `expectsContinue`: the client waits for 100 (Continue) before it sends the body. */
export type Guarded = (request: NodeRequest, response: NodeResponse, expectsContinue: boolean) => void;

/** Puts a handler behind the checks that hold for every request, and answers for it if it throws or rejects. */
export function guard(handler: NodeHandler, limits: HttpLimits, onError: OnError): Guarded {
  return (request, response, expectsContinue) => {
    // A stream that fails while nobody listens ends the process. Whoever reads or writes notices by itself.
    request.on("error", ignore);
    response.on("error", ignore);
    const fail = (error: unknown) => {
      const correlationId = randomUUID();
      onError(error, `the handler of a request failed, answered as ${correlationId}`);
      if (canReply(response)) return refuse(request, response, unexpected(correlationId));
      // Half a reply must not look like a whole one.
      if (!response.writableEnded) response.destroy(new Error("the handler failed", { cause: error }));
    };
    try {
      const refusal = check(request, limits);
      if (refusal !== undefined) return refuse(request, response, refusal);
      if (expectsContinue) response.writeContinue();
      const returned: unknown = handler(request, response);
      // The type allows async functions too, and a rejection that nobody handles ends the process.
      if (returned instanceof Promise) returned.catch(fail);
    } catch (error) {
      fail(error);
    }
  };
}

/** Answers in place of a handler. An HTTP/1 connection ends with it: what follows may not be what it seems. */
export function refuse(request: NodeRequest, response: NodeResponse, refusal: Refusal): void {
  if (!canReply(response)) return;
  // What a handler has prepared belongs to another reply. A browser still has to be let in to see this one.
  for (const name of response.getHeaderNames()) {
    if (name !== "vary" && !name.startsWith("access-control-")) response.removeHeader(name);
  }
  if (!("stream" in response)) response.setHeader("connection", "close");
  reply(request, response, refusalReply(refusal));
}

function check(request: NodeRequest, limits: HttpLimits): Refusal | undefined {
  // TRACE would show a script what the browser sends along (ASVS 13.4.4).
  if (request.method === "TRACE") return methodUnsupported;
  if ((request.url ?? "").length > limits.targetBytesMax) return targetTooLong;
  // Node holds HTTP/2 clients to the limit only once they have acknowledged it.
  const isHttp2 = "stream" in request;
  if (isHttp2 && headerListBytes(request.rawHeaders) > limits.headerBytesMax) return headersTooLarge;
  return hasValidHost(request) ? undefined : hostInvalid;
}

/** As SETTINGS_MAX_HEADER_LIST_SIZE counts: 32 bytes a field on top of its name and value (RFC 9113 §6.5.2). */
function headerListBytes(rawHeaders: readonly string[]): number {
  let bytes = rawHeaders.length * 16;
  for (const part of rawHeaders) bytes += part.length;
  return bytes;
}

function ignore(): void {}
