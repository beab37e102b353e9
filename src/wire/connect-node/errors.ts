import { buffer } from "node:stream/consumers";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  compressedFlag,
  createAsyncIterable,
  type UniversalServerResponse,
} from "@connectrpc/connect/protocol";
import {
  codeToHttpStatus,
  endStreamFlag,
  endStreamFromJson,
  endStreamToJson,
  errorFromJsonBytes,
  errorToJsonBytes,
} from "@connectrpc/connect/protocol-connect";
import { findTrailerError, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { trailerFlag, trailerParse, trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { retryAfter } from "../call/retry-after.ts";
import { dropFraming } from "../call/send.ts";
import { canceled, malformed, tooLarge, wireError, withErrorInfo } from "../call/wire-error.ts";
import { frame } from "../protocols/frames.ts";

/** Converts an error of connect-node about a request to one of the wire, because its own message may quote the input. */
export function toRequestError(thrown: unknown, messageBytesMax: number, errorDomain: string): ConnectError {
  return withErrorInfo(withOwnMessage(thrown, messageBytesMax), errorDomain);
}

function withOwnMessage(thrown: unknown, messageBytesMax: number): ConnectError {
  // Anything else is thrown by reading the request: the client disconnected.
  if (!(thrown instanceof ConnectError)) return canceled();
  if (hasErrorInfo(thrown)) return thrown;
  if (thrown.code === Code.ResourceExhausted) return tooLarge(messageBytesMax);
  if (thrown.code === Code.InvalidArgument || thrown.code === Code.Internal)
    return malformed("the request can't be read: check it against its protocol");
  return thrown;
}

/** Converts an error of connect-node about a reply. The caller only learns that it is internal. */
export function toReplyError(error: ConnectError, errorDomain: string): ConnectError {
  const publicError = hasErrorInfo(error) ? error : wireError(Code.Internal, "INTERNAL", "internal error");
  return withErrorInfo(publicError, errorDomain);
}

function hasErrorInfo(error: ConnectError): boolean {
  return error.findDetails(ErrorInfoSchema).length > 0;
}

type Convert = (error: ConnectError) => ConnectError;

/** Converts the error in a reply of connect-node, unless it has ErrorInfo already. Its place depends on the protocol. */
export async function convertReplyError(
  reply: UniversalServerResponse,
  convert: Convert,
): Promise<UniversalServerResponse> {
  const { body, header = new Headers() } = reply;
  const contentType = header.get("content-type") ?? "";
  if (!body) return reply;
  if (contentType.startsWith("application/connect"))
    return { ...reply, body: mapLast(body, endStreamFlag, (data) => convertEndStream(data, convert)) };
  if (contentType.startsWith("application/grpc-web"))
    return { ...reply, body: mapLast(body, trailerFlag, (data) => convertTrailerData(data, convert)) };
  if (contentType.startsWith("application/grpc")) return { ...reply, body: convertTrailer(reply, convert) };
  if (reply.status < 400 || header.has("content-encoding")) return reply;
  return await convertUnary(header, body, convert);
}

/** Maps the data of the frame that ends a stream. connect-node's own errors are too short to be compressed. */
async function* mapLast(
  frames: AsyncIterable<Uint8Array>,
  lastFlag: number,
  change: (data: Uint8Array) => Uint8Array,
): AsyncGenerator<Uint8Array> {
  for await (const bytes of frames) {
    const isLast = ((bytes[0] ?? 0) & (lastFlag | compressedFlag)) === lastFlag;
    yield isLast ? frame(lastFlag, change(bytes.subarray(5))) : bytes;
  }
}

function convertEndStream(data: Uint8Array, convert: Convert): Uint8Array {
  const { error, metadata } = endStreamFromJson(data);
  if (!error || hasErrorInfo(error)) return data;
  return Buffer.from(JSON.stringify(endStreamToJson(metadata, convert(error), undefined)));
}

function convertTrailerData(data: Uint8Array, convert: Convert): Uint8Array {
  const trailer = trailerParse(data);
  return convertStatus(trailer, convert) ? trailerSerialize(trailer) : data;
}

async function* convertTrailer(
  { body, trailer = new Headers() }: UniversalServerResponse,
  convert: Convert,
): AsyncGenerator<Uint8Array> {
  if (body) yield* body;
  // connect-node sets the status at the end of the body.
  convertStatus(trailer, convert);
  dropFraming(trailer);
}

function convertStatus(trailer: Headers, convert: Convert): boolean {
  const error = findTrailerError(trailer);
  if (!error || hasErrorInfo(error)) return false;
  setTrailerStatus(trailer, convert(error));
  return true;
}

async function convertUnary(
  header: Headers,
  body: AsyncIterable<Uint8Array>,
  convert: Convert,
): Promise<UniversalServerResponse> {
  const error = convert(
    errorFromJsonBytes(await buffer(body), undefined, new ConnectError("", Code.Internal)),
  );
  const seconds = retryAfter(error);
  if (seconds !== undefined) header.set("retry-after", String(seconds));
  const status = codeToHttpStatus(error.code);
  return { status, header, body: createAsyncIterable([errorToJsonBytes(error, undefined)]) };
}
