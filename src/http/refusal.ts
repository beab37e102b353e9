import { STATUS_CODES } from "node:http";
import { Code } from "@connectrpc/connect";
import { errorDomain } from "../lib/refusal.ts";
import type { Reply } from "./reply.ts";

/** Why a request is turned away before it is taken for a call. */
export interface Refusal {
  /** HTTP status. */
  readonly status: number;
  readonly code: Code;
  /** Of `google.rpc.ErrorInfo`. */
  readonly reason: string;
  /** What the caller is to do next. Never holds anything that the client sent. */
  readonly message: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

export const malformed: Refusal = {
  status: 400,
  code: Code.InvalidArgument,
  reason: "REQUEST_MALFORMED",
  message: "the request is not valid HTTP: send it as RFC 9112 (HTTP/1.1) or RFC 9113 (HTTP/2) says",
};

export const hostInvalid: Refusal = {
  status: 400,
  code: Code.InvalidArgument,
  reason: "REQUEST_MALFORMED",
  message:
    "the host is missing, repeated or invalid: send one Host (HTTP/2: :authority) such as example.com:8080",
};

export const readOnly: Refusal = {
  status: 405,
  code: Code.Unimplemented,
  reason: "METHOD_NOT_ALLOWED",
  message: "this page can only be read: use GET or HEAD",
};

export const tooSlow: Refusal = {
  status: 408,
  code: Code.DeadlineExceeded,
  reason: "DEADLINE_EXCEEDED",
  message: "the request did not arrive as a whole in time: send it again",
};

export const chunksTooLarge: Refusal = {
  status: 413,
  code: Code.ResourceExhausted,
  reason: "REQUEST_TOO_LARGE",
  message: "the chunk extensions are too large: send chunks without extensions",
};

export const targetTooLong: Refusal = {
  status: 414,
  code: Code.ResourceExhausted,
  reason: "REQUEST_TOO_LARGE",
  message: "the request target is too long: send a shorter path and query",
};

export const expectationUnknown: Refusal = {
  status: 417,
  code: Code.InvalidArgument,
  reason: "REQUEST_MALFORMED",
  message: "the only expectation that can be met is 100-continue: leave the Expect field out",
};

export const headersTooLarge: Refusal = {
  status: 431,
  code: Code.ResourceExhausted,
  reason: "REQUEST_TOO_LARGE",
  message: "the request target and header fields are too large: send fewer or shorter ones",
};

export const methodUnsupported: Refusal = {
  status: 501,
  code: Code.Unimplemented,
  reason: "UNIMPLEMENTED",
  message: "CONNECT and TRACE are not supported: use the method that the API reference names",
};

/** What a caller learns of an error that nobody expected: the id under which the log has it (ASVS 16.5.1). */
export function unexpected(correlationId: string): Refusal {
  return {
    status: 500,
    code: Code.Internal,
    reason: "INTERNAL",
    message: `internal error, logged as ${correlationId}`,
    metadata: { correlation_id: correlationId },
  };
}

/** The refusal as `google.rpc.Status` JSON, in the form of every error over REST. */
export function refusalReply({ status, code, reason, message, metadata = {} }: Refusal): Reply {
  const info = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    reason,
    domain: errorDomain,
    metadata,
  };
  return {
    status,
    headers: { "content-type": "application/json", "cache-control": "no-store" },
    body: JSON.stringify({ code, message, details: [info] }),
  };
}

/** The refusal as the bytes of an HTTP/1.1 response, for a socket on which no request could be made out. */
export function refusalBytes(refusal: Refusal): string {
  const { status, headers, body = "" } = refusalReply(refusal);
  const fields = {
    ...headers,
    "content-length": Buffer.byteLength(body),
    date: new Date().toUTCString(),
    connection: "close",
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join("")}\r\n${body}`;
}
