import { brotliDecompressSync, constants, gunzipSync } from "node:zlib";
import { fromBinary, fromJsonString } from "@bufbuild/protobuf";
import { AddOTPEmailRequestSchema } from "../../../gen/countersign/user/v3alpha/user_service_pb.ts";
import type { RawRequest } from "./exchange.ts";

/** The message limit of the services under test. */
export const messageBytesMax = 4_096;
const frameBytesMax = 5 + messageBytesMax;

/** The codes that a request may be refused with before its method is called, one for each fault. */
export function faultsOf(request: RawRequest): Set<string> {
  const faults = new Set<string>();
  const encoding = fieldOf(request, isConnect(request) ? "content-encoding" : "grpc-encoding") ?? "identity";
  faults.add(faultOfDeadline(request));
  if (!isVersionKnown(request) || (isText(request) && !isBase64(request))) faults.add("InvalidArgument");
  if (!["gzip", "br", "identity", ""].includes(encoding)) faults.add("Unimplemented");
  const bytes = bytesOf(request);
  if (bytes.length > frameBytesMax || isTextTooLong(request)) faults.add("ResourceExhausted");
  if (isConnect(request)) {
    for (const fault of faultsOfMessage(request, bytes, encoding)) faults.add(fault);
  } else {
    for (const fault of faultsOfFrames(request, bytes, encoding)) faults.add(fault);
  }
  faults.delete("");
  return faults;
}

function faultOfDeadline(request: RawRequest): string {
  const ms = deadlineMsOf(request);
  if (ms === undefined) return "";
  if (Number.isNaN(ms)) return "InvalidArgument";
  // A short deadline may expire while the request is read.
  return ms <= 50 ? "DeadlineExceeded" : "";
}

const unitsMs: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** The deadline in milliseconds, NaN if it is invalid. */
export function deadlineMsOf(request: RawRequest): number | undefined {
  const value = fieldOf(request, isConnect(request) ? "connect-timeout-ms" : "grpc-timeout");
  if (value === undefined) return undefined;
  const pattern = isConnect(request) ? /^(\d{1,10})()$/ : /^(\d{1,8})([HMSmun])$/;
  const [, digits, unit = ""] = pattern.exec(value) ?? [];
  return Number(digits) * (unitsMs[unit] ?? 1);
}

function faultsOfFrames(request: RawRequest, bytes: Buffer, encoding: string): string[] {
  const faults = [];
  let count = 0;
  for (let at = 0; at < bytes.length; count++) {
    const flags = bytes.readUInt8(at);
    const length = at + 5 > bytes.length ? Number.POSITIVE_INFINITY : bytes.readUInt32BE(at + 1);
    if (length > bytes.length - at - 5 || flags > 1 || (flags & 1 && encoding === "identity"))
      faults.push("InvalidArgument");
    const isTooLong = Number.isFinite(length) && length > messageBytesMax;
    if (isTooLong) faults.push("ResourceExhausted");
    else if (Number.isFinite(length))
      faults.push(
        ...faultsOfMessage(request, bytes.subarray(at + 5, at + 5 + length), flags & 1 ? encoding : ""),
      );
    at += 5 + length;
  }
  return count === 1 ? faults : [...faults, "Unimplemented"];
}

/** Whether a body ends right after the prefix of a non-empty message. */
export function endsInPrefix(bytes: Buffer): boolean {
  let at = 0;
  while (at + 5 < bytes.length) at += 5 + bytes.readUInt32BE(at + 1);
  return at + 5 === bytes.length && bytes.readUInt32BE(at + 1) > 0;
}

function faultsOfMessage(request: RawRequest, data: Buffer, encoding: string): string[] {
  if (data.length > messageBytesMax) return ["ResourceExhausted"];
  try {
    const message = decompress(data, encoding);
    if (isJson(request))
      fromJsonString(AddOTPEmailRequestSchema, message.toString(), { ignoreUnknownFields: true });
    else fromBinary(AddOTPEmailRequestSchema, message);
    return [];
  } catch (error) {
    if (error instanceof RangeError) return ["ResourceExhausted"];
    return isTooLong(data, encoding) ? ["InvalidArgument", "ResourceExhausted"] : ["InvalidArgument"];
  }
}

/** Whether the readable part of truncated gzip is too long. */
function isTooLong(data: Buffer, encoding: string): boolean {
  if (encoding !== "gzip") return false;
  try {
    return gunzipSync(data, { finishFlush: constants.Z_SYNC_FLUSH }).length > messageBytesMax;
  } catch {
    return false;
  }
}

/** @throws RangeError if the result is too long */
function decompress(data: Buffer, encoding: string): Buffer {
  if (data.length === 0) return data;
  const limit = { maxOutputLength: messageBytesMax };
  if (encoding === "gzip") return gunzipSync(data, limit);
  return encoding === "br" ? brotliDecompressSync(data, limit) : data;
}

export function isVersionKnown(request: RawRequest): boolean {
  const version = fieldOf(request, "connect-protocol-version");
  return !isConnect(request) || version === undefined || version === "1";
}

/** The value of a header. Several values are joined like Node does. */
export function fieldOf({ headers = {} }: RawRequest, name: string): string | undefined {
  const values = Object.entries(headers).flatMap(([key, value]) => (key.toLowerCase() === name ? value : []));
  return values.length > 0 ? values.join(", ") : undefined;
}

/** The content type in lower case, without a UTF-8 charset if it is JSON. */
export function typeOf(request: RawRequest): string {
  const type = fieldOf(request, "content-type")?.toLowerCase() ?? "";
  return /^(application\/(?:grpc.*\+)?json)[ \t]*;[ \t]*charset="?utf-?8"?$/.exec(type)?.[1] ?? type;
}

/** Whether the wire passes the request to connect-node, because of its compression or a header of streams. */
export function isForConnectNode(request: RawRequest): boolean {
  if (isText(request)) return false;
  const coding = fieldOf(request, isConnect(request) ? "content-encoding" : "grpc-encoding") ?? "";
  return (
    !["", "identity", "gzip"].includes(coding) || fieldOf(request, "connect-content-encoding") !== undefined
  );
}

export const isConnect = (request: RawRequest) => !typeOf(request).startsWith("application/grpc");
export const isText = (request: RawRequest) => typeOf(request).startsWith("application/grpc-web-text");
/** Whether the body is longer than the base64 of the largest message. */
export const isTextTooLong = (request: RawRequest) =>
  isText(request) && (request.body ?? "").length > Math.ceil(frameBytesMax / 3) * 4;
export const isJson = (request: RawRequest) => /json/.test(typeOf(request));

const base64 = /^(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)*$/;
export const isBase64 = ({ body = "" }: RawRequest) => base64.test(Buffer.from(body).toString("latin1"));

/** The body, decoded if it is base64. */
export function bytesOf(request: RawRequest): Buffer {
  const body = Buffer.from(request.body ?? "");
  if (!isText(request)) return body;
  const pieces = body.toString("latin1").match(/[^=]+=*/g) ?? [];
  return Buffer.concat(pieces.map((piece) => Buffer.from(piece, "base64")));
}

/** The message in a valid body, without its prefix and decompressed. */
export function messageOf(request: RawRequest): Buffer {
  const bytes = bytesOf(request);
  const isUnary = isConnect(request);
  const data = isUnary ? bytes : bytes.subarray(5);
  const isCompressed = isUnary || bytes[0] === 1;
  const encoding = isCompressed && fieldOf(request, isUnary ? "content-encoding" : "grpc-encoding");
  return decompress(data, encoding || "identity");
}

export function isUtf8(bytes: Buffer): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** The nesting depth of valid JSON. */
export function depthOf(json: Buffer): number {
  const brackets = json.toString().replace(/"(?:[^"\\]|\\.)*"/g, "");
  let depth = 0;
  let deepest = 0;
  for (const char of brackets) {
    if (char === "{" || char === "[") depth++;
    if (char === "}" || char === "]") depth--;
    deepest = Math.max(deepest, depth);
  }
  return deepest;
}
