import { STATUS_CODES } from "node:http";
import { Code } from "@connectrpc/connect";
import { errorDomain } from "../lib/refusal.ts";
import type { Reply } from "./reply.ts";

/** An error reply of the HTTP server itself. */
export interface HttpRefusal {
  /** HTTP status. */
  readonly status: number;
  readonly code: Code;
  /** The reason of `google.rpc.ErrorInfo`. */
  readonly reason: string;
  /** Tells the caller what to do. Never quotes the request. */
  readonly message: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

export const malformed: HttpRefusal = {
  status: 400,
  code: Code.InvalidArgument,
  reason: "REQUEST_MALFORMED",
  message: "the request is not valid HTTP: send it as RFC 9112 (HTTP/1.1) or RFC 9113 (HTTP/2) says",
};

export const hostInvalid: HttpRefusal = {
  status: 400,
  code: Code.InvalidArgument,
  reason: "REQUEST_MALFORMED",
  message:
    "the host is missing, repeated or invalid: send one Host (HTTP/2: :authority) such as example.com:8080",
};

export const readOnly: HttpRefusal = {
  status: 405,
  code: Code.Unimplemented,
  reason: "METHOD_NOT_ALLOWED",
  message: "this page can only be read: use GET or HEAD",
};

export const tooSlow: HttpRefusal = {
  status: 408,
  code: Code.DeadlineExceeded,
  reason: "DEADLINE_EXCEEDED",
  message: "the request did not arrive in time: send it again",
};

export const chunksTooLarge: HttpRefusal = {
  status: 413,
  code: Code.ResourceExhausted,
  reason: "REQUEST_TOO_LARGE",
  message: "the chunk extensions are too large: send chunks without extensions",
};

export const targetTooLong: HttpRefusal = {
  status: 414,
  code: Code.ResourceExhausted,
  reason: "REQUEST_TOO_LARGE",
  message: "the request target is too long: send a shorter path and query",
};

export const expectationUnknown: HttpRefusal = {
  status: 417,
  code: Code.InvalidArgument,
  reason: "REQUEST_MALFORMED",
  message: "the only supported expectation is 100-continue: leave the Expect header out",
};

export const headersTooLarge: HttpRefusal = {
  status: 431,
  code: Code.ResourceExhausted,
  reason: "REQUEST_TOO_LARGE",
  message: "the request target and header fields are too large: send fewer or shorter ones",
};

export const methodUnsupported: HttpRefusal = {
  status: 501,
  code: Code.Unimplemented,
  reason: "UNIMPLEMENTED",
  message: "CONNECT and TRACE are not supported: use the method that the API reference names",
};

/** An unexpected error. The caller only gets the id that the log has it under (ASVS 16.5.1). */
export function unexpected(correlationId: string): HttpRefusal {
  return {
    status: 500,
    code: Code.Internal,
    reason: "INTERNAL",
    message: `internal error, logged as ${correlationId}`,
    metadata: { correlation_id: correlationId },
  };
}

/** Converts the refusal to `google.rpc.Status` JSON, like all errors over REST. */
export function refusalReply({ status, code, reason, message, metadata = {} }: HttpRefusal): Reply {
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

/** Converts the refusal to a raw HTTP/1.1 response, for a socket without a valid request. */
export function refusalBytes(refusal: HttpRefusal): string {
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
