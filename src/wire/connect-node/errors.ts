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
import { frame } from "../protocols/grpc.ts";

/** What connect-node throws when it cannot read a request, in the words of the wire: its own may quote the input. */
export function explainInput(thrown: unknown, messageBytesMax: number, errorDomain: string): ConnectError {
  return withErrorInfo(inOwnWords(thrown, messageBytesMax), errorDomain);
}

function inOwnWords(thrown: unknown, messageBytesMax: number): ConnectError {
  // Only the request itself throws anything else: the client went away.
  if (!(thrown instanceof ConnectError)) return canceled();
  if (isExplained(thrown)) return thrown;
  if (thrown.code === Code.ResourceExhausted) return tooLarge(messageBytesMax);
  if (thrown.code === Code.InvalidArgument || thrown.code === Code.Internal)
    return malformed("the request cannot be read: check it against its protocol");
  return thrown;
}

/** What connect-node throws when it cannot write a reply, which is nobody's business. */
export function explainOutput(error: ConnectError, errorDomain: string): ConnectError {
  const told = isExplained(error) ? error : wireError(Code.Internal, "INTERNAL", "internal error");
  return withErrorInfo(told, errorDomain);
}

function isExplained(error: ConnectError): boolean {
  return error.findDetails(ErrorInfoSchema).length > 0;
}

type Explain = (error: ConnectError) => ConnectError;

/** Puts `explain` over the error of a reply of connect-node, wherever its protocol has it. */
export async function explainReply(
  reply: UniversalServerResponse,
  explain: Explain,
): Promise<UniversalServerResponse> {
  const { body, header = new Headers() } = reply;
  const contentType = header.get("content-type") ?? "";
  if (!body) return reply;
  if (contentType.startsWith("application/connect"))
    return { ...reply, body: mapLast(body, endStreamFlag, (data) => explainEndStream(data, explain)) };
  if (contentType.startsWith("application/grpc-web"))
    return { ...reply, body: mapLast(body, trailerFlag, (data) => explainTrailerData(data, explain)) };
  if (contentType.startsWith("application/grpc")) return { ...reply, body: explainTrailer(reply, explain) };
  if (reply.status < 400 || header.has("content-encoding")) return reply;
  return await explainUnary(header, body, explain);
}

/** Changes the data of the frame that ends a stream. A compressed one is longer than any error of connect-node's own. */
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

function explainEndStream(data: Uint8Array, explain: Explain): Uint8Array {
  const { error, metadata } = endStreamFromJson(data);
  if (!error || isExplained(error)) return data;
  return Buffer.from(JSON.stringify(endStreamToJson(metadata, explain(error), undefined)));
}

function explainTrailerData(data: Uint8Array, explain: Explain): Uint8Array {
  const trailer = trailerParse(data);
  return explainStatus(trailer, explain) ? trailerSerialize(trailer) : data;
}

async function* explainTrailer(
  { body, trailer = new Headers() }: UniversalServerResponse,
  explain: Explain,
): AsyncGenerator<Uint8Array> {
  if (body) yield* body;
  // The status is set when the body is over, and sent after that.
  explainStatus(trailer, explain);
  dropFraming(trailer);
}

function explainStatus(trailer: Headers, explain: Explain): boolean {
  const error = findTrailerError(trailer);
  if (!error || isExplained(error)) return false;
  setTrailerStatus(trailer, explain(error));
  return true;
}

async function explainUnary(
  header: Headers,
  body: AsyncIterable<Uint8Array>,
  explain: Explain,
): Promise<UniversalServerResponse> {
  const error = explain(
    errorFromJsonBytes(await buffer(body), undefined, new ConnectError("", Code.Internal)),
  );
  const seconds = retryAfter(error);
  if (seconds !== undefined) header.set("retry-after", String(seconds));
  const status = codeToHttpStatus(error.code);
  return { status, header, body: createAsyncIterable([errorToJsonBytes(error, undefined)]) };
}
