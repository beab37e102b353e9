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

/** Something that the lane answers in another way than connect-node. */
export interface Difference {
  /** Why the lane is more right. */
  readonly why: string;
  /** Whether it is none where the wire itself hands the request to connect-node. */
  readonly isUnaryEngineOnly?: true;
  /** What connect-node is asked in place of what it cannot read; undefined where it can. */
  asked?(request: RawRequest): RawRequest | undefined;
  /** What the lane answers in place of what connect-node does; undefined where they are the same. */
  inPlace?(connectNode: Outcome, request: RawRequest, unaryEngine: Outcome): Partial<Outcome> | undefined;
}

const saysNothing =
  "connect-node says nothing; every error of the lane is a google.rpc.Status that says what to do";
const fault = "it is the caller who sent this, and nobody is to be woken up for it";
const ownType = "the client is answered in the type that it is known to read";

/** All differences there are. A later one stands above an earlier one. */
export const differences: Readonly<Record<string, Difference>> = {
  "gRPC-Web text": {
    why: "connect-node does not speak it: it is asked the same in binary",
    asked: (request) =>
      isText(request)
        ? {
            ...withField(request, "content-type", typeOf(request).replace("-text", "")),
            body: isBase64(request) ? bytesOf(request) : "",
          }
        : undefined,
    inPlace: ({ code }, request) =>
      isText(request) && code !== "none" ? { type: typeOf(request) } : undefined,
  },
  "a charset of UTF-8 in another place or spelling": {
    why: "it says what JSON is anyway (RFC 8259 §8.1), and a quoted parameter is the same as a bare one (RFC 9110 §5.6.6)",
    asked: (request) =>
      fieldOf(request, "content-type") === typeOf(request)
        ? undefined
        : withField(request, "content-type", typeOf(request)),
  },
  "a coding of no name": {
    why: "an empty list of codings is none (RFC 9110 §8.4)",
    asked: (request) => {
      const name = isConnect(request) ? "content-encoding" : "grpc-encoding";
      return fieldOf(request, name) === "" ? withField(request, name, "identity") : undefined;
    },
  },
  "a request that cannot be read": {
    why: fault,
    inPlace: (connectNode, request) =>
      !connectNode.isCalled && connectNode.code === "Internal" ? invalid(request) : undefined,
  },
  "a version of Connect that is not known": {
    isUnaryEngineOnly: true,
    why: "the protocol asks servers to reject versions that they do not know",
    inPlace: (connectNode, request) =>
      connectNode.code !== "none" && !isVersionKnown(request) ? invalid(request) : undefined,
  },
  "JSON that is not UTF-8": {
    why: "connect-node puts U+FFFD in the place of what the caller meant",
    inPlace: (connectNode, request) =>
      connectNode.isCalled && readsJson(request) && !isUtf8(messageOf(request))
        ? invalid(request)
        : undefined,
  },
  "JSON that is nested deeply": {
    why: "what no message of anybody's can hold is not read to its end",
    inPlace: (connectNode, request) =>
      connectNode.isCalled && readsJson(request) && depthOf(messageOf(request)) > 100
        ? invalid(request)
        : undefined,
  },
  "flags that are not known": {
    isUnaryEngineOnly: true,
    why: "a flag changes what the message is; to read it as if it were not there is to guess",
    inPlace: (connectNode, request) =>
      connectNode.code !== "none" && !isFlagKnown(request) ? invalid(request) : undefined,
  },
  "a deadline that has passed": {
    why: "nobody waits for the answer any more: the method must have no effect",
    inPlace: (connectNode, request, unaryEngine) => {
      const ms = deadlineMsOf(request) ?? Number.POSITIVE_INFINITY;
      // Those that are soon may pass before the method is called, or after.
      const hasPassed = ms === 0 || (ms <= 50 && !unaryEngine.isCalled);
      return connectNode.isCalled && hasPassed ? refused(request, "DeadlineExceeded") : undefined;
    },
  },
  "gRPC-Web text in pieces, longer than one piece can be": {
    why: "the limit is one on what is read: padding in the midst counts, and no client has a reason to send it",
    inPlace: (connectNode, request) =>
      connectNode.code !== "none" && isTextTooLong(request)
        ? refused(request, "ResourceExhausted")
        : undefined,
  },
  "a prefix without its message": {
    isUnaryEngineOnly: true,
    why: "it is a message that breaks off, as it is when some of it has come",
    inPlace: (connectNode, request) =>
      connectNode.code !== "none" && !isConnect(request) && endsInPrefix(bytesOf(request))
        ? invalid(request)
        : undefined,
  },
  "a reply in brotli": {
    isUnaryEngineOnly: true,
    why: "brotli at its usual level costs many times what it saves: gzip, or identity to who accepts nothing else",
    inPlace: ({ headers }, request) =>
      encodingOf(headers) === "br" ? withEncoding(request, headers, acceptsGzip(request)) : undefined,
  },
  "gzip that is accepted with a weight, or in capitals": {
    isUnaryEngineOnly: true,
    why: "RFC 9110 §12.4.2 and §8.4.1 have both",
    inPlace: ({ headers }, request, unaryEngine) =>
      acceptsGzip(request) && encodingOf(headers) === undefined && encodingOf(unaryEngine.headers) === "gzip"
        ? withEncoding(request, headers, true)
        : undefined,
  },
  "gzip in reply to gzip": {
    isUnaryEngineOnly: true,
    why: "a client that says nothing of what it accepts gets identity",
    inPlace: ({ headers }, request) =>
      encodingOf(headers) === "gzip" && !acceptedBy(request)
        ? withEncoding(request, headers, false)
        : undefined,
  },
  "a content type of the method's own": {
    isUnaryEngineOnly: true,
    why: "the client could not read the reply",
    inPlace: ({ isCalled, type, code }, request) => {
      if (!isCalled) return undefined;
      const own = isConnect(request) && code !== "ok" ? "application/json" : typeOf(request);
      return type === own || type === `${own}+proto` ? undefined : { type: own };
    },
  },
  "a type without a format": {
    why: ownType,
    inPlace: ({ type }, request) => {
      const own = typeOf(request);
      return type === `${own}+proto` ? { type: own } : undefined;
    },
  },
  "base64 that is none": {
    why: "connect-node does not speak gRPC-Web text",
    inPlace: (connectNode, request) =>
      connectNode.code !== "none" && isText(request) && !isBase64(request) ? invalid(request) : undefined,
  },
  "several faults at once": {
    why: "one of them is told, and which is the choice of whoever looks",
    inPlace: (connectNode, request, unaryEngine) => {
      if (connectNode.isCalled || connectNode.code === "none") return undefined;
      const faults = faultsOf(request);
      if (faults.size < 2 || !faults.has(unaryEngine.code)) return undefined;
      return { ...refused(request, unaryEngine.code), headers: unaryEngine.headers };
    },
  },
  "a content type that is not known": {
    why: saysNothing,
    inPlace: (connectNode) =>
      connectNode.code === "none" && connectNode.status === 415
        ? {
            ...saysMore("InvalidArgument"),
            headers: {
              "accept-post":
                "application/json, application/proto, application/grpc, application/grpc-web, application/grpc-web-text",
            },
          }
        : undefined,
  },
  "an HTTP method that is not allowed": {
    why: saysNothing,
    inPlace: (connectNode) =>
      connectNode.code === "none" && connectNode.status === 405
        ? { ...saysMore("Unimplemented"), headers: { allow: "POST, OPTIONS" } }
        : undefined,
  },
  "a path that is not there": {
    why: saysNothing,
    inPlace: (connectNode) =>
      connectNode.code === "none" && connectNode.status === 404 ? saysMore("NotFound") : undefined,
  },
};

function saysMore(code: string): Partial<Outcome> {
  return { type: "application/json", code };
}

/** INVALID_ARGUMENT of the wire, in the protocol of the request. */
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

/** Of a frame with another flag connect-node does not take the message. */
function readsJson(request: RawRequest): boolean {
  return isJson(request) && isFlagKnown(request);
}

/** The coding of the message in a reply. */
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
