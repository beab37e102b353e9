import { setTimeout } from "node:timers/promises";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import type { ServiceImpl } from "@connectrpc/connect";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { errorFromJsonBytes } from "@connectrpc/connect/protocol-connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { UserService } from "../../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { ErrorInfoSchema, RetryInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { bind, createWire, type NodeHandler } from "../../../src/wire/wire.ts";
import { differences } from "./differences.ts";
import { exchange, type HttpVersion, listenBare, type RawReply, type RawRequest } from "./exchange.ts";
import { isForConnectNode, messageBytesMax } from "./read-request.ts";

// The unary engine and connect-node answer the same requests, with the same service and interceptors. The test compares
// what matters to a client: status, headers, message or error, trailers, and whether the method ran. It ignores the messages
// of errors that are not the method's, ErrorInfo, Retry-After, and a grpc-encoding header without a compressed message.

export const path = "/countersign.user.v3alpha.UserService/AddOTPEmail";

type Fields = Readonly<Record<string, string>>;

/** The observable result of a call. */
export interface Outcome {
  readonly status: number;
  readonly type?: string | undefined;
  /** Headers about the message, and those set by the service. */
  readonly headers: Fields;
  /** The message in base64, empty if there is none. */
  readonly message: string;
  /** "ok", the name of the error code, or "none" if the reply has neither. */
  readonly code: string;
  /** Message and details of an error of the method. */
  readonly words?: string;
  readonly trailers: Fields;
  /** Whether the method ran. */
  readonly isCalled: boolean;
}

/** What the method should do, in the header `x-do`. By default, it returns the id and the address of the request. */
export interface Work {
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly trailers?: readonly (readonly [name: string, value: string])[];
  /** Throws an error, with RetryInfo if there are `retrySeconds`. */
  readonly error?: {
    readonly code: Code;
    readonly message: string;
    readonly metadata?: Fields;
    readonly retrySeconds?: number;
  };
  /** Throws something other than a ConnectError. */
  readonly crash?: boolean;
  /** Waits for its deadline. */
  readonly wait?: boolean;
  /** Returns a string of this length. */
  readonly replyLength?: number;
}

export function doing(work: Work): Fields {
  return { "x-do": encodeURIComponent(JSON.stringify(work)) };
}

const interceptor: Interceptor = (next) => async (request) => {
  request.header.set("x-seen", `${request.requestMethod} ${request.method.name} ${request.service.typeName}`);
  const response = await next(request);
  response.header.set("x-intercepted", "yes");
  return response;
};

/** Marks the errors of the method, whose messages are compared. */
const errorMark = "x-error";

/** @param onCall is called for each call. */
function serviceOf(onCall: () => void): Partial<ServiceImpl<typeof UserService>> {
  return {
    async addOTPEmail(
      { userId, email },
      { requestHeader, responseHeader, responseTrailer, timeoutMs, signal },
    ) {
      onCall();
      const work = JSON.parse(decodeURIComponent(requestHeader.get("x-do") ?? "{}")) as Work;
      responseHeader.set("x-seen", requestHeader.get("x-seen") ?? "");
      responseHeader.set("x-bytes-bin", requestHeader.get("x-bytes-bin") ?? "");
      responseHeader.set("x-more", requestHeader.get("x-more") ?? "");
      responseHeader.set("x-has-deadline", String(timeoutMs() !== undefined));
      responseHeader.set("x-aborted", String(signal.aborted));
      responseTrailer.set("x-trailer", "at the end");
      for (const [name, value] of work.headers ?? []) responseHeader.append(name, value);
      for (const [name, value] of work.trailers ?? []) responseTrailer.append(name, value);
      if (work.wait) await aborted(signal);
      if (work.crash) throw new Error("select * from secrets");
      if (work.error) {
        const { code, message, metadata = {}, retrySeconds } = work.error;
        const error = new ConnectError(message, code, { [errorMark]: "yes", ...metadata });
        if (retrySeconds !== undefined)
          error.details.push({
            desc: RetryInfoSchema,
            value: { retryDelay: { seconds: BigInt(retrySeconds) } },
          });
        throw error;
      }
      const { replyLength } = work;
      return {
        otpEmailId: userId,
        verificationCode: replyLength === undefined ? email?.address : "x".repeat(replyLength),
      };
    },
  };
}

/** Rejects with the reason of the signal when it aborts. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason));
  });
}

export interface Comparison {
  readonly ofUnaryEngine: Outcome;
  readonly ofConnectNode: Outcome;
  /** The expected answer of the unary engine: that of connect-node, with the changes of `differences`. */
  readonly expected: Outcome;
  /** The names of those differences. */
  readonly differences: readonly string[];
}

/** Serves with the unary engine and with connect-node until the test ends. Returns a function that sends a request to both. */
export async function serveBoth(version: HttpVersion): Promise<(request: RawRequest) => Promise<Comparison>> {
  const askUnaryEngine = await serve(version, (onCall) =>
    createWire({
      services: [bind(UserService, serviceOf(onCall))],
      interceptors: [interceptor],
      messageBytesMax,
    }),
  );
  const askConnectNode = await serve(version, (onCall) =>
    connectNodeAdapter({
      routes: (router) => router.service(UserService, serviceOf(onCall)),
      interceptors: [interceptor],
      readMaxBytes: messageBytesMax,
    }),
  );
  return async (request) => {
    const names = new Set<string>();
    let forConnectNode = request;
    for (const [name, { translate }] of Object.entries(differences)) {
      const translated = translate?.(forConnectNode);
      if (translated) names.add(name);
      forConnectNode = translated ?? forConnectNode;
    }
    const [ofUnaryEngine, ofConnectNode] = await Promise.all([
      askUnaryEngine(request),
      askConnectNode(forConnectNode),
    ]);
    let expected = ofConnectNode;
    for (const [name, { change, isUnaryEngineOnly }] of Object.entries(differences)) {
      if (isUnaryEngineOnly && isForConnectNode(request)) continue;
      const changed = change?.(expected, request, ofUnaryEngine);
      if (changed) names.add(name);
      expected = { ...expected, ...changed };
    }
    return { ofUnaryEngine, ofConnectNode, expected, differences: [...names] };
  };
}

/** Serves a handler, and tells for each request whether its method was called. Requests must be sequential. */
async function serve(
  version: HttpVersion,
  createHandler: (onCall: () => void) => NodeHandler,
): Promise<(request: RawRequest) => Promise<Outcome>> {
  let calls = 0;
  const port = await listenBare(
    createHandler(() => calls++),
    version,
  );
  return async (request) => {
    const before = calls;
    const reply = await Promise.race([exchange(port, version, request), noAnswer()]);
    const outcome = reply === undefined ? silence : outcomeOf(reply);
    return { ...outcome, isCalled: calls > before };
  };
}

const silence = { status: 0, headers: {}, message: "", code: "no answer", trailers: {} };

async function noAnswer(): Promise<undefined> {
  await setTimeout(10_000, undefined, { ref: false });
}

function outcomeOf(reply: RawReply): Omit<Outcome, "isCalled"> {
  const type = reply.headers["content-type"]?.toString();
  const headers = pick(reply.headers, /^(x-|trailer-|content-encoding|grpc-|accept-|www-|allow|set-cookie)/);
  const base = { status: reply.status, type, headers };
  if (type?.startsWith("application/grpc-web")) {
    const isText = type.startsWith("application/grpc-web-text");
    const body = isText ? Buffer.from(reply.body.toString(), "base64") : reply.body;
    const frames = framesOf(body, headers["grpc-encoding"]);
    const trailers = trailersOf(frames.find(({ flags }) => flags & 0x80)?.data ?? Buffer.alloc(0));
    return { ...base, ...ofFrames(frames, headers, trailers) };
  }
  if (type?.startsWith("application/grpc")) {
    const trailers = Object.fromEntries(
      Object.entries(reply.trailers).map(([name, value]) => [name, String(value)]),
    );
    return { ...base, ...ofFrames(framesOf(reply.body, headers["grpc-encoding"]), headers, trailers) };
  }
  const body = inflate(reply.body, headers["content-encoding"]);
  if (reply.status === 200) return { ...base, message: body.toString("base64"), code: "ok", trailers: {} };
  if (body.length === 0) return { ...base, message: "", code: "none", trailers: {} };
  const { code } = JSON.parse(body.toString()) as { code: string | number };
  if (typeof code === "number") return { ...base, message: "", code: nameOf(code), trailers: {} };
  const error = errorFromJsonBytes(body, undefined, new ConnectError("no error", Code.DataLoss));
  const words = headers[errorMark] && wordsOf(error);
  return { ...base, message: "", code: nameOf(error.code), ...(words && { words }), trailers: {} };
}

function ofFrames(frames: Frame[], fields: Fields, trailers: Fields) {
  const headers: Record<string, string> = { ...fields };
  if (!frames.some(({ flags }) => flags & 1)) delete headers["grpc-encoding"];
  const messages = frames.filter(({ flags }) => !(flags & 0x80)).map(({ data }) => data);
  const error = findTrailerError(new Headers(trailers));
  const code = error ? nameOf(error.code) : trailers["grpc-status"] === "0" ? "ok" : "none";
  const words = error && trailers[errorMark] && wordsOf(error);
  return {
    headers,
    message: Buffer.concat(messages).toString("base64"),
    code,
    ...(words && { words }),
    trailers: pick(trailers, /^(x-|www-|set-cookie)/),
  };
}

const nameOf = (code: Code) => Code[code] ?? String(code);

/** Message and details of an error, without the ErrorInfo that the wire adds. */
function wordsOf({ rawMessage, details }: ConnectError): string {
  const received = details.flatMap((detail) => ("type" in detail ? [detail] : []));
  const kept = received.filter(({ type }) => type !== ErrorInfoSchema.typeName);
  return JSON.stringify([
    rawMessage,
    ...kept.map(({ type, value }) => [type, Buffer.from(value).toString("hex")]),
  ]);
}

function pick(fields: RawReply["headers"], names: RegExp): Record<string, string> {
  const picked = Object.entries(fields).filter(([name]) => names.test(name));
  return Object.fromEntries(picked.map(([name, value]) => [name, String(value)]));
}

interface Frame {
  readonly flags: number;
  readonly data: Buffer;
}

function framesOf(body: Buffer, encoding: string | undefined): Frame[] {
  const frames = [];
  for (let at = 0; at < body.length; ) {
    const flags = body.readUInt8(at);
    const end = at + 5 + body.readUInt32BE(at + 1);
    const data = body.subarray(at + 5, end);
    frames.push({ flags, data: flags & 1 ? inflate(data, encoding) : data });
    at = end;
  }
  return frames;
}

function inflate(data: Buffer, encoding: string | undefined): Buffer {
  return encoding === "gzip" ? gunzipSync(data) : encoding === "br" ? brotliDecompressSync(data) : data;
}

function trailersOf(data: Buffer): Record<string, string> {
  const lines = data.toString().split("\r\n").filter(Boolean);
  return Object.fromEntries(new Headers(lines.map((line) => line.split(/: ?(.*)/s, 2) as [string, string])));
}
