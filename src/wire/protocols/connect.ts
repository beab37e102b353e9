import { type DescMethodUnary, fromBinary, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import { codeToHttpStatus, errorToJsonBytes, parseTimeout } from "@connectrpc/connect/protocol-connect";
import type { Codec } from "../call/codec.ts";
import { compressIfAccepted, decompress, isIdentity } from "../call/compression.ts";
import { retryAfter } from "../call/retry-after.ts";
import { type Fields, type Reply, toFields } from "../call/send.ts";
import { malformed } from "../call/wire-error.ts";
import { messageFromJson, parseJson } from "../json/json.ts";

/** The Connect protocol, unary: https://connectrpc.com/docs/protocol#unary-request */
export function connectCodec(
  method: DescMethodUnary,
  format: "json" | "proto",
  messageBytesMax: number,
): Codec {
  const contentType = `application/${format}`;
  const read = (bytes: Uint8Array) =>
    format === "json" ? messageFromJson(method.input, parseJson(bytes)) : messageFromBinary(method, bytes);
  return {
    protocol: "connect",
    codingHeader: "content-encoding",

    timeoutMs(header) {
      // connect-node ignores unknown versions, but the protocol asks servers to reject them.
      const version = header.get("connect-protocol-version");
      if (version !== null && version !== "1") throw malformed('connect-protocol-version must be "1"');
      const { timeoutMs, error } = parseTimeout(header.get("connect-timeout-ms"), Number.POSITIVE_INFINITY);
      if (error) throw malformed("connect-timeout-ms must be a number of milliseconds, of at most 10 digits");
      return timeoutMs;
    },

    decode(header, body) {
      const encoding = header.get("content-encoding");
      return isIdentity(encoding) ? read(body) : decompress(encoding, body, messageBytesMax).then(read);
    },

    reply({ requestHeader, responseHeader, responseTrailer }, message) {
      const header = toFields(responseHeader);
      for (const [name, value] of Object.entries(toFields(responseTrailer)))
        header[`trailer-${name}`] = value;
      header["content-type"] = contentType;
      const content =
        format === "json" ? toJsonString(method.output, message) : toBinary(method.output, message);
      return encodeContent(header, requestHeader, content);
    },

    error(error, responseHeader, trailer) {
      const header = new Headers(responseHeader);
      // The headers of the error replace those that the method has set.
      for (const name of error.metadata.keys()) header.delete(name);
      for (const [name, value] of error.metadata) header.append(name, value);
      for (const [name, value] of trailer) header.append(`trailer-${name}`, value);
      // An error received from another server may carry the encoding of that server's reply.
      header.delete("content-encoding");
      header.set("content-type", "application/json");
      const seconds = retryAfter(error);
      if (seconds !== undefined) header.set("retry-after", String(seconds));
      return { status: codeToHttpStatus(error.code), header, body: errorToJsonBytes(error, undefined) };
    },
  };
}

/** A successful reply of Connect or REST, compressed if the client accepts it. */
export function encodeContent(
  header: Fields,
  requestHeader: Headers,
  content: Uint8Array | string,
): Promise<Reply> | Reply {
  const compressed = compressIfAccepted(requestHeader.get("accept-encoding"), content);
  if (!compressed) return { status: 200, header, body: content };
  return compressed.then((body) => ({
    status: 200,
    header: { ...header, "content-encoding": "gzip" },
    body,
  }));
}

/** @throws INVALID_ARGUMENT */
export function messageFromBinary(method: DescMethodUnary, bytes: Uint8Array): Message {
  try {
    return fromBinary(method.input, bytes);
  } catch {
    // Don't pass the error on: it may quote the input. connect-node answers INTERNAL, but it's the caller's fault.
    throw malformed("the body is not a valid protobuf message");
  }
}
