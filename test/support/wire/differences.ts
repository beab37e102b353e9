import { Code } from "@connectrpc/connect";
import { codeToHttpStatus } from "@connectrpc/connect/protocol-connect";
import type { Outcome } from "./differential.ts";
import type { RawRequest } from "./exchange.ts";
import {
  bytesOf,
  deadlineMsOf,
  depthOf,
  endsInPrefix,
  faultsOf,
  fieldOf,
  isBase64,
  isConnect,
  isJson,
  isText,
  isTextTooLong,
  isUtf8,
  isVersionKnown,
  messageOf,
  typeOf,
} from "./read-request.ts";

/** A case in which the unary engine answers differently from connect-node. */
export interface Difference {
  /** Why the answer of the unary engine is better. */
  readonly why: string;
  /** Whether both answer the same if the wire passes the request to connect-node. */
  readonly isUnaryEngineOnly?: true;
  /** Translates a request that connect-node can't read. Undefined if it can. */
  translate?(request: RawRequest): RawRequest | undefined;
  /** Returns how the answer of the unary engine differs from the one of connect-node. Undefined if it doesn't. */
  change?(connectNode: Outcome, request: RawRequest, unaryEngine: Outcome): Partial<Outcome> | undefined;
}

const bareStatus =
  "connect-node replies with a bare status; the wire always sends a google.rpc.Status that says what to do";
const callersFault = "it is the caller's fault, so it must not look like a failure of the service";
const ownType = "the client may not be able to read any other type";

/** All differences. Later ones override earlier ones. */
export const differences: Readonly<Record<string, Difference>> = {
  "gRPC-Web text": {
    why: "connect-node doesn't speak it, so it gets the same request in binary",
    translate: (request) =>
      isText(request)
        ? {
            ...withField(request, "content-type", typeOf(request).replace("-text", "")),
            body: isBase64(request) ? bytesOf(request) : "",
          }
        : undefined,
    change: ({ code }, request) =>
      isText(request) && code !== "none" ? { type: typeOf(request) } : undefined,
  },
  "a UTF-8 charset in an unusual form": {
    why: "JSON is always UTF-8 (RFC 8259 §8.1), and a quoted parameter equals a bare one (RFC 9110 §5.6.6)",
    translate: (request) =>
      fieldOf(request, "content-type") === typeOf(request)
        ? undefined
        : withField(request, "content-type", typeOf(request)),
  },
  "an empty coding": {
    why: "an empty list of codings means no coding (RFC 9110 §8.4)",
    translate: (request) => {
      const name = isConnect(request) ? "content-encoding" : "grpc-encoding";
      return fieldOf(request, name) === "" ? withField(request, name, "identity") : undefined;
    },
  },
  "an unreadable request": {
    why: callersFault,
    change: (connectNode, request) =>
      !connectNode.isCalled && connectNode.code === "Internal" ? invalid(request) : undefined,
  },
  "an unknown version of Connect": {
    isUnaryEngineOnly: true,
    why: "the protocol asks servers to reject unknown versions",
    change: (connectNode, request) =>
      connectNode.code !== "none" && !isVersionKnown(request) ? invalid(request) : undefined,
  },
  "JSON that is not UTF-8": {
    why: "connect-node replaces invalid bytes with U+FFFD",
    change: (connectNode, request) =>
      connectNode.isCalled && readsJson(request) && !isUtf8(messageOf(request))
        ? invalid(request)
        : undefined,
  },
  "deeply nested JSON": {
    why: "no message is nested that deeply, so reading it is a waste",
    change: (connectNode, request) =>
      connectNode.isCalled && readsJson(request) && depthOf(messageOf(request)) > 100
        ? invalid(request)
        : undefined,
  },
  "unknown flags": {
    isUnaryEngineOnly: true,
    why: "a flag changes the meaning of the message, so it must not be ignored",
    change: (connectNode, request) =>
      connectNode.code !== "none" && !isFlagKnown(request) ? invalid(request) : undefined,
  },
  "an expired deadline": {
    why: "no one is waiting for the reply any more, so the method must not be called",
    change: (connectNode, request, unaryEngine) => {
      const ms = deadlineMsOf(request) ?? Number.POSITIVE_INFINITY;
      // A short deadline may expire before the method is called, or after.
      const hasPassed = ms === 0 || (ms <= 50 && !unaryEngine.isCalled);
      return connectNode.isCalled && hasPassed ? refused(request, "DeadlineExceeded") : undefined;
    },
  },
  "gRPC-Web text in pieces that is longer than a single piece can be": {
    why: "the limit is on the encoded body including padding, and no client has a reason to send that much",
    change: (connectNode, request) =>
      connectNode.code !== "none" && isTextTooLong(request)
        ? refused(request, "ResourceExhausted")
        : undefined,
  },
  "a prefix without its message": {
    isUnaryEngineOnly: true,
    why: "it is a truncated message, as it would be with one more byte",
    change: (connectNode, request) =>
      connectNode.code !== "none" && !isConnect(request) && endsInPrefix(bytesOf(request))
        ? invalid(request)
        : undefined,
  },
  "a reply in brotli": {
    isUnaryEngineOnly: true,
    why: "brotli at its default level costs far more CPU time than it saves; the reply is gzip or not compressed",
    change: ({ headers }, request) =>
      encodingOf(headers) === "br" ? withEncoding(request, headers, acceptsGzip(request)) : undefined,
  },
  "gzip accepted with a weight, or in upper case": {
    isUnaryEngineOnly: true,
    why: "RFC 9110 §12.4.2 and §8.4.1 allow both",
    change: ({ headers }, request, unaryEngine) =>
      acceptsGzip(request) && encodingOf(headers) === undefined && encodingOf(unaryEngine.headers) === "gzip"
        ? withEncoding(request, headers, true)
        : undefined,
  },
  "gzip in reply to gzip": {
    isUnaryEngineOnly: true,
    why: "a client that sends no accept header gets identity",
    change: ({ headers }, request) =>
      encodingOf(headers) === "gzip" && !acceptedBy(request)
        ? withEncoding(request, headers, false)
        : undefined,
  },
  "a content type set by the method": {
    isUnaryEngineOnly: true,
    why: "the client couldn't read the reply",
    change: ({ isCalled, type, code }, request) => {
      if (!isCalled) return undefined;
      const own = isConnect(request) && code !== "ok" ? "application/json" : typeOf(request);
      return type === own || type === `${own}+proto` ? undefined : { type: own };
    },
  },
  "a type without a format": {
    why: ownType,
    change: ({ type }, request) => {
      const own = typeOf(request);
      return type === `${own}+proto` ? { type: own } : undefined;
    },
  },
  "invalid base64": {
    why: "connect-node doesn't speak gRPC-Web text",
    change: (connectNode, request) =>
      connectNode.code !== "none" && isText(request) && !isBase64(request) ? invalid(request) : undefined,
  },
  "several faults at once": {
    why: "only one of them is reported, and either choice is correct",
    change: (connectNode, request, unaryEngine) => {
      if (connectNode.isCalled || connectNode.code === "none") return undefined;
      const faults = faultsOf(request);
      if (faults.size < 2 || !faults.has(unaryEngine.code)) return undefined;
      return { ...refused(request, unaryEngine.code), headers: unaryEngine.headers };
    },
  },
  "an unknown content type": {
    why: bareStatus,
    change: (connectNode) =>
      connectNode.code === "none" && connectNode.status === 415
        ? {
            ...withStatusBody("InvalidArgument"),
            headers: {
              "accept-post":
                "application/json, application/proto, application/grpc, application/grpc-web, application/grpc-web-text",
            },
          }
        : undefined,
  },
  "a disallowed HTTP method": {
    why: bareStatus,
    change: (connectNode) =>
      connectNode.code === "none" && connectNode.status === 405
        ? { ...withStatusBody("Unimplemented"), headers: { allow: "POST, OPTIONS" } }
        : undefined,
  },
  "an unknown path": {
    why: bareStatus,
    change: (connectNode) =>
      connectNode.code === "none" && connectNode.status === 404 ? withStatusBody("NotFound") : undefined,
  },
};

function withStatusBody(code: string): Partial<Outcome> {
  return { type: "application/json", code };
}

/** INVALID_ARGUMENT in the protocol of the request. */
function invalid(request: RawRequest): Partial<Outcome> {
  return refused(request, "InvalidArgument");
}

function refused(request: RawRequest, code: string): Partial<Outcome> {
  const isUnary = isConnect(request);
  return {
    status: isUnary ? codeToHttpStatus(Code[code as keyof typeof Code]) : 200,
    type: isUnary ? "application/json" : typeOf(request),
    headers: {},
    message: "",
    code,
    words: undefined,
    trailers: {},
    isCalled: false,
  };
}

function isFlagKnown(request: RawRequest): boolean {
  return isConnect(request) || (bytesOf(request)[0] ?? 0) <= 1;
}

/** connect-node ignores the message of a frame with unknown flags. */
function readsJson(request: RawRequest): boolean {
  return isJson(request) && isFlagKnown(request);
}

/** The compression of the message in a reply. */
function encodingOf(headers: Outcome["headers"]): string | undefined {
  return headers["content-encoding"] ?? headers["grpc-encoding"];
}

function withEncoding(request: RawRequest, headers: Outcome["headers"], isGzip: boolean): Partial<Outcome> {
  const { "content-encoding": _ofBody, "grpc-encoding": _ofMessage, ...others } = headers;
  const name = isConnect(request) ? "content-encoding" : "grpc-encoding";
  return { headers: isGzip ? { ...others, [name]: "gzip" } : others };
}

function acceptedBy(request: RawRequest): string | undefined {
  return fieldOf(request, isConnect(request) ? "accept-encoding" : "grpc-accept-encoding");
}

function acceptsGzip(request: RawRequest): boolean {
  const codings = (acceptedBy(request) ?? "").toLowerCase().split(",");
  return codings.some((coding) => /^ *gzip *(; *q=(0\.0*[1-9].*|1.*))? *$/.test(coding));
}

function withField(request: RawRequest, name: string, value: string): RawRequest {
  const others = Object.entries(request.headers ?? {}).filter(([key]) => key.toLowerCase() !== name);
  return { ...request, headers: { ...Object.fromEntries(others), [name]: value } };
}
