import { isDeepStrictEqual } from "node:util";
import type { JsonValue } from "@bufbuild/protobuf";
import type { Received } from "./client.ts";
import { type HttpExpectation, type HttpRequest, isObject } from "./format.ts";

/** Returns the problems with status and body of a reply. */
export function problemsOfReply(
  { method }: HttpRequest,
  expect: HttpExpectation,
  received: Received,
): string[] {
  const { status } = received;
  const body = withoutErrorInfo(received.body, expect);
  const problems: string[] = [];
  const statuses = [...(expect.http === undefined ? [] : [expect.http]), ...(expect.http_any ?? [])];
  if (statuses.length > 0 && !statuses.includes(status))
    problems.push(`the status is ${status}, not ${statuses.join(" or ")}`);
  if (expect.no_body && body.length > 0) problems.push("there is a body");
  if (expect.body_text !== undefined && body.toString() !== expect.body_text)
    problems.push(`the body is ${JSON.stringify(body.toString())}, not ${JSON.stringify(expect.body_text)}`);

  const json = parse(body);
  const wanted = [
    ...(expect.body_json === undefined ? [] : [expect.body_json]),
    ...(expect.body_json_any ?? []),
  ];
  if (wanted.length > 0 && !wanted.some((one) => isDeepStrictEqual(json, one)))
    problems.push(`the body is ${shown(body)}, not ${wanted.map((one) => JSON.stringify(one)).join(" or ")}`);
  if (expect.body_json_partial !== undefined && !contains(json, expect.body_json_partial))
    problems.push(`the body is ${shown(body)}, without ${JSON.stringify(expect.body_json_partial)}`);
  // Required by the profile of the vectors: every error is a JSON google.rpc.Status.
  if (status >= 400 && method !== "HEAD" && !isStatus(received, json))
    problems.push(`the error is not a google.rpc.Status: ${shown(body)}`);
  return problems;
}

/** The body without the ErrorInfo that the wire adds to an error without details. The vectors don't expect it. */
function withoutErrorInfo(body: Buffer, { reply }: HttpExpectation): Buffer {
  if (!reply?.error || reply.error.details) return body;
  const reason = reply.error.code === "CANCELLED" ? "CANCELED" : reply.error.code;
  const type = "type.googleapis.com/google.rpc.ErrorInfo";
  const info = JSON.stringify({ reason, domain: "countersign", "@type": type });
  return Buffer.from(body.toString().replace(`,"details":[${info}]`, ""));
}

function parse(body: Buffer): JsonValue | undefined {
  try {
    return JSON.parse(body.toString()) as JsonValue;
  } catch {
    return undefined;
  }
}

function shown(body: Buffer): string {
  return body.length === 0 ? "empty" : body.toString().slice(0, 1000);
}

/** Whether the JSON contains the expected members. Lists must have the same length. */
function contains(got: unknown, expected: unknown): boolean {
  if (Array.isArray(expected)) {
    return (
      Array.isArray(got) &&
      got.length === expected.length &&
      expected.every((item, i) => contains(got[i], item))
    );
  }
  if (!isObject(expected)) return isDeepStrictEqual(got, expected);
  return isObject(got) && Object.entries(expected).every(([key, value]) => contains(got[key], value));
}

function isStatus({ headers }: Received, json: JsonValue | undefined): boolean {
  return (
    headers.get("content-type")?.[0] === "application/json" &&
    isObject(json) &&
    Number.isInteger(json.code) &&
    typeof json.message === "string"
  );
}

/** Returns the problems with a header. Expects one value per header line, or no header if there are no values. */
export function headerProblem(received: Received, name: string, expected: readonly string[]): string[] {
  if (name.toLowerCase() === "allow") return allowProblem(received, expected);
  const got = received.headers.get(name.toLowerCase()) ?? [];
  return got.join(", ") === expected.join(", ")
    ? []
    : [`${name} is ${JSON.stringify(got)}, not ${JSON.stringify(expected)}`];
}

/** Compares Allow as a set. The wire may add OPTIONS, and HEAD if there is GET. */
export function allowProblem({ headers }: Received, expected: readonly string[]): string[] {
  const got = (headers.get("allow") ?? []).flatMap((value) => value.split(/ *, */));
  const mayBe = new Set([...expected, "OPTIONS", ...(expected.includes("GET") ? ["HEAD"] : [])]);
  const isRight =
    expected.every((method) => got.includes(method)) && got.every((method) => mayBe.has(method));
  return isRight ? [] : [`Allow is ${JSON.stringify(got)}, not ${JSON.stringify(expected)}`];
}
