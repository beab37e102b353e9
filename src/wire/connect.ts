import { type DescMethodUnary, fromBinary, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import { codeToHttpStatus, errorToJsonBytes, parseTimeout } from "@connectrpc/connect/protocol-connect";
import { compressIfAccepted, decompress } from "./compression.ts";
import { messageFromJson, parseJson } from "./json.ts";
import { retryAfter } from "./retry-after.ts";
import type { Codec } from "./unary.ts";
import { malformed } from "./wire-error.ts";

/** The Connect protocol, unary: https://connectrpc.com/docs/protocol#unary-request */
export function connectCodec(
  method: DescMethodUnary,
  format: "json" | "proto",
  messageBytesMax: number,
): Codec {
  const contentType = `application/${format}`;
  return {
    protocol: "connect",

    timeoutMs(header) {
      // connect-node ignores a version that it does not know. Here nothing is taken for what it may not be.
      const version = header.get("connect-protocol-version");
      if (version !== null && version !== "1") throw malformed('connect-protocol-version must be "1"');
      const { timeoutMs, error } = parseTimeout(header.get("connect-timeout-ms"), Number.POSITIVE_INFINITY);
      if (error) throw malformed("connect-timeout-ms must be a number of milliseconds, of at most 10 digits");
      return timeoutMs;
    },

    async decode(header, body) {
      const bytes = await decompress(header.get("content-encoding"), body, messageBytesMax);
      if (format === "json") return messageFromJson(method.input, parseJson(bytes));
      return messageFromBinary(method, bytes);
    },

    async reply(context, message) {
      const header = new Headers(context.responseHeader);
      for (const [name, value] of context.responseTrailer) header.append(`trailer-${name}`, value);
      header.set("content-type", contentType);
      const body =
        format === "json"
          ? Buffer.from(toJsonString(method.output, message))
          : toBinary(method.output, message);
      const compressed = await compressIfAccepted(context.requestHeader.get("accept-encoding"), body);
      if (compressed) header.set("content-encoding", "gzip");
      return { status: 200, header, body: compressed ?? body };
    },

    error(error, responseHeader, trailer) {
      const header = new Headers(responseHeader);
      // What the error says of a header stands above what the method said.
      for (const name of error.metadata.keys()) header.delete(name);
      for (const [name, value] of error.metadata) header.append(name, value);
      for (const [name, value] of trailer) header.append(`trailer-${name}`, value);
      // Of another server's reply, if the error came from one.
      header.delete("content-encoding");
      header.set("content-type", "application/json");
      const seconds = retryAfter(error);
      if (seconds !== undefined) header.set("retry-after", String(seconds));
      return { status: codeToHttpStatus(error.code), header, body: errorToJsonBytes(error, undefined) };
    },
  };
}

/** @throws INVALID_ARGUMENT */
export function messageFromBinary(method: DescMethodUnary, bytes: Uint8Array): Message {
  try {
    return fromBinary(method.input, bytes);
  } catch {
    // Its error may quote the input. connect-node calls this INTERNAL; it is the caller that sent it.
    throw malformed("the body is not a valid protobuf message");
  }
}
