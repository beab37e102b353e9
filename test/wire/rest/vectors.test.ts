import { Readable } from "node:stream";
import { createGzip } from "node:zlib";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { captureOf, parsePathTemplate } from "../../../src/wire/rest/path-template.ts";
import { encodeResponse, restCodec, restError } from "../../../src/wire/rest/rest.ts";
import { RouteTrie } from "../../../src/wire/rest/route-trie.ts";
import { createRestRouter } from "../../../src/wire/rest/rules.ts";
import { wireError } from "../../../src/wire/wire-error.ts";
import {
  canonical,
  type HttpVector,
  jsonOf,
  methodNamed,
  methods,
  methodsWithRules,
  vectorsOf,
} from "./support.ts";

/** Vectors that are not run here, or differ in what is left open, with the reason. */
const notRun: Readonly<Record<string, string>> = {
  E005: "a client refuses a map",
  E006: "a client refuses repeated messages",
  E013: "a client refuses a value that is not of the template",
  E014: "a client refuses a path without its value",
  H026: "optional: a field of the path may not be in the body, not even with the same value",
  H054: "optional: a byte order mark is ignored, as RFC 8259 §8.1 allows",
  H080: "HEAD is answered by the wire, which drops the body",
  H081: "OPTIONS is answered by the wire",
  H082: "google.api.HttpBody is not supported yet",
  H087: "streams are not supported over REST yet",
  H088: "streams are not supported over REST yet",
  H136: "Host is checked by the HTTP server",
  H137: "Host is checked by the HTTP server",
  H138: "Host is checked by the HTTP server",
};

/** Runs a test for each vector, and lists those that are not run. */
function each<V extends { readonly id: string }>(
  vectors: readonly V[],
  nameOf: (vector: V) => string,
  run: (vector: V) => Promise<void> | void,
): void {
  for (const vector of vectors) {
    const reason = notRun[vector.id];
    if (reason === undefined) it(`${vector.id} ${nameOf(vector)}`, () => run(vector));
    else it.skip(`${vector.id} ${nameOf(vector)}: ${reason}`, () => {});
  }
}

describe("a template", () => {
  each(
    vectorsOf("template"),
    ({ template }) => template,
    ({ template, expect: expected }) => {
      if (!expected.ok) {
        expect(() => parsePathTemplate(template)).toThrow(/ at column [0-9]+$/);
        return;
      }
      const { segments, verb, variables } = parsePathTemplate(template);
      const isWildcard = (segment: string) => segment === "*" || segment === "**";
      expect({
        segments: segments.map((s) => (isWildcard(s) ? s : textOf(s))),
        verb,
        vars: variables,
      }).toEqual({
        segments: expected.segments.map((s) => (isWildcard(s) ? s : textOf(s))),
        verb: decodeURIComponent(expected.verb),
        vars: expected.vars,
      });
    },
  );

  /** A literal, so marked that it is no wildcard. */
  function textOf(literal: string): string {
    return `literal ${decodeURIComponent(literal)}`;
  }
});

describe("routes", () => {
  each(
    vectorsOf("route"),
    ({ routes }) => routes.map(({ id }) => id).join(" "),
    (vector) => {
      const trie = new RouteTrie<(typeof vector.routes)[number]>();
      const addAll = () => {
        for (const route of vector.routes)
          trie.add(route.method, parsePathTemplate(route.template), route, ({ id }) => `route ${id}`);
      };
      if (vector.expect_registration_error) {
        expect(addAll).toThrow(/^route .+ and route .+ have the same path$/);
        return;
      }
      addAll();
      for (const { method, path, expect: expected } of vector.requests) {
        const found = trie.find(method, path.split("?", 1)[0] ?? "");
        const request = `${method} ${path}`;
        if (found.kind === "match") {
          const { variables } = parsePathTemplate(found.route.template);
          const vars = Object.fromEntries(variables.map((v) => [v.path, captureOf(v, found.segments)]));
          expect({ request, match: found.route.id, vars: upper(vars) }).toEqual({
            request,
            match: expected.match,
            vars: upper(expected.vars ?? {}),
          });
        } else {
          const allow = found.kind === "method_not_allowed" ? found.allow : undefined;
          expect({ request, match: null, allow }).toEqual({
            request,
            match: expected.match,
            allow: expected.allow,
          });
        }
      }
    },
  );

  /** `%2f` and `%2F` are the same in what is captured. */
  function upper(vars: Readonly<Record<string, string | undefined>>) {
    return Object.entries(vars).map(([name, value]) => `${name}=${value?.replaceAll("%2f", "%2F")}`);
  }
});

describe("a part of a path", () => {
  each(
    vectorsOf("decode"),
    ({ kind, raw }) => `${kind} ${raw}`,
    ({ kind, raw, expect: expected }) => {
      const end = kind === "single" ? 1 : -1;
      const text = captureOf({ path: "name", start: 0, end }, raw.split("/"));
      if (expected.error) expect(text).toBeUndefined();
      else expect([expected.value, ...(expected.any_of ?? [])]).toContain(text);
    },
  );
});

describe("a query", () => {
  const { input } = methodNamed("Echo");
  const query = ({ query }: { query: string }) => query;
  each(vectorsOf("query"), query, async (vector) => {
    // As HTTP clients do: a request line is ASCII.
    const ascii = vector.query.replace(/\P{ASCII}/gu, encodeURIComponent);
    const outcome = await exchange({ method: "GET", path: `/echo?${ascii}` }, { echo: true });
    if ("error" in vector.expect) {
      expect(outcome.rpc).toBeNull();
      expect(outcome.json).toMatchObject({ code: 3 });
    } else {
      expect(outcome.rpc).toEqual({ method: "Echo", message: canonical(input, vector.expect.message) });
    }
  });
});

describe("an exchange", () => {
  each(
    vectorsOf("http"),
    ({ name }) => name,
    async ({ request, expect: expected }) => {
      const outcome = await exchange(request, expected.reply ?? {});
      const rpc = expected.rpc && {
        method: expected.rpc.method,
        message: canonical(methodNamed(expected.rpc.method).input, expected.rpc.message),
      };
      if (rpc !== undefined) expect(outcome.rpc).toEqual(rpc);
      expect([expected.http, ...(expected.http_any ?? [])]).toContain(outcome.status);
      for (const [name, values] of Object.entries(expected.headers ?? {})) {
        expect(outcome.header.get(name)?.split(", ").sort()).toEqual([...values].sort());
      }
      if (expected.body_json !== undefined)
        expect([expected.body_json, ...(expected.body_json_any ?? [])]).toContainEqual(outcome.json);
      if (expected.body_json_partial) expect(outcome.json).toMatchObject(expected.body_json_partial);
    },
  );
});

// These vectors are for clients. Here they run backwards: what a client makes of a message makes that message again.
describe("what a client encodes", () => {
  each(
    vectorsOf("encode"),
    ({ rule }) => JSON.stringify(rule),
    async ({ rule, message, expect: expected }) => {
      if ("error" in expected) throw new Error("this vector is to be listed in notRun");
      const [method] = methodsWithRules({ Encoded: rule });
      if (!method) throw new Error("the rule has no method");
      const httpMethod = ["get", "put", "post", "delete", "patch"].find((name) => name in rule);
      const request = {
        method: httpMethod?.toUpperCase() ?? "",
        path: `${expected.path}?${expected.query}`,
        ...(expected.body !== undefined && {
          headers: { "content-type": "application/json" },
          body: JSON.stringify(expected.body),
        }),
      };
      const { rpc } = await exchange(request, { echo: true }, [method]);
      expect(rpc).toEqual({ method: "Encoded", message: canonical(method.input, message) });
    },
  );
});

interface Outcome {
  /** What is called. */
  readonly rpc: { readonly method: string; readonly message: JsonValue } | null;
  readonly status: number;
  readonly header: Headers;
  readonly json: JsonValue;
}

/** Takes a request to a method and its reply back, as the wire does. */
async function exchange(
  request: HttpVector["request"],
  reply: NonNullable<HttpVector["expect"]["reply"]>,
  served = methods,
): Promise<Outcome> {
  const [path = "", query = ""] = request.path.split(/\?(.*)/s);
  const found = createRestRouter(served).find(request.method, path);
  if (found.kind === "not_found")
    return refused(null, wireError(Code.NotFound, "ROUTE_NOT_FOUND", "there is nothing here"));
  if (found.kind === "method_not_allowed") {
    const error = wireError(Code.Unimplemented, "METHOD_NOT_ALLOWED", "call it otherwise");
    return refused(null, error, new Headers({ allow: found.allow.join(", ") }));
  }
  const { method } = found.route;
  let rpc: Outcome["rpc"] = null;
  try {
    const input = await restCodec(found, query, 64 * 1024).decode(headersOf(request), await bodyOf(request));
    rpc = { method: method.name, message: jsonOf(method.input, input) };
    if (reply.error) throw errorOf(reply.error);
    const output = reply.echo ? input : fromJson(method.output, reply.message ?? {});
    const { contentType, body } = encodeResponse(found.route, output);
    return { rpc, status: 200, header: new Headers({ "content-type": contentType }), json: parse(body) };
  } catch (thrown) {
    if (!(thrown instanceof ConnectError)) throw thrown;
    return refused(rpc, thrown);
  }
}

function refused(rpc: Outcome["rpc"], error: ConnectError, responseHeader?: Headers): Outcome {
  const { status, header, body } = restError(error, responseHeader);
  expect(header.get("content-type")).toBe("application/json");
  return { rpc, status, header, json: parse(body) };
}

function parse(body: Uint8Array): JsonValue {
  return JSON.parse(Buffer.from(body).toString());
}

function headersOf({ headers, headers_raw }: HttpVector["request"]): Headers {
  const all = new Headers(headers);
  for (const [name, value] of headers_raw ?? []) all.append(name, value);
  return all;
}

async function bodyOf(request: HttpVector["request"]): Promise<Uint8Array> {
  const { body, body_base64, body_repeat, body_gzip_repeat } = request;
  if (body_base64 !== undefined) return Buffer.from(body_base64, "base64");
  if (body_repeat) {
    const { prefix, open, mid, close, suffix, times } = body_repeat;
    return Buffer.from(prefix + open.repeat(times) + mid + close.repeat(times) + suffix);
  }
  if (body_gzip_repeat) {
    const { char, times, wrap } = body_gzip_repeat;
    return gzipped(wrap[0], char, times, wrap[1]);
  }
  return Buffer.from(body ?? "");
}

/** A gzip of so many times the same character, made in pieces. */
async function gzipped(before: string, char: string, times: number, after: string): Promise<Uint8Array> {
  const piece = Math.min(times, 1 << 24);
  async function* text() {
    yield before;
    const buffer = Buffer.alloc(piece, char);
    for (let left = times; left > 0; left -= piece) yield buffer.subarray(0, left);
    yield after;
  }
  const chunks = await Readable.from(text(), { objectMode: false })
    .pipe(createGzip({ level: 1 }))
    .toArray();
  return Buffer.concat(chunks);
}

type ReplyError = NonNullable<NonNullable<HttpVector["expect"]["reply"]>["error"]>;

function errorOf({ code, message, details = [] }: ReplyError): ConnectError {
  const error = new ConnectError(message, codes[code]);
  for (const { "@type": type, ...info } of details) {
    expect(type).toBe("type.googleapis.com/google.rpc.ErrorInfo");
    error.details.push({ desc: ErrorInfoSchema, value: fromJson(ErrorInfoSchema, info) });
  }
  return error;
}

/** By the names of google/rpc/code.proto. */
const codes: Readonly<Record<string, Code>> = {
  CANCELLED: Code.Canceled,
  UNKNOWN: Code.Unknown,
  INVALID_ARGUMENT: Code.InvalidArgument,
  DEADLINE_EXCEEDED: Code.DeadlineExceeded,
  NOT_FOUND: Code.NotFound,
  ALREADY_EXISTS: Code.AlreadyExists,
  PERMISSION_DENIED: Code.PermissionDenied,
  RESOURCE_EXHAUSTED: Code.ResourceExhausted,
  FAILED_PRECONDITION: Code.FailedPrecondition,
  ABORTED: Code.Aborted,
  OUT_OF_RANGE: Code.OutOfRange,
  UNIMPLEMENTED: Code.Unimplemented,
  INTERNAL: Code.Internal,
  UNAVAILABLE: Code.Unavailable,
  DATA_LOSS: Code.DataLoss,
  UNAUTHENTICATED: Code.Unauthenticated,
};
