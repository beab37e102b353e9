import { readFileSync } from "node:fs";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

/** Vectors in the format `transcoding-vectors/1`, which is described in the `schema` of ../vectors.json. */
export type Level = "must" | "should" | "optional";

interface Vector {
  readonly id: string;
  readonly level: Level;
}

export interface TemplateVector extends Vector {
  readonly template: string;
  readonly expect: {
    readonly ok: boolean;
    readonly segments?: readonly string[];
    readonly verb?: string;
    readonly vars?: readonly { readonly path: string; readonly start: number; readonly end: number }[];
  };
}

export interface RouteVector extends Vector {
  readonly routes: readonly Route[];
  readonly expect_registration_error?: boolean;
  readonly requests: readonly RouteRequest[];
}

export interface Route {
  readonly id: string;
  readonly method: string;
  readonly template: string;
}

export interface RouteRequest {
  readonly method: string;
  readonly path: string;
  readonly level?: Level;
  readonly expect: {
    readonly match: string | null;
    readonly vars?: Readonly<Record<string, string>>;
    readonly status?: number;
    readonly allow?: readonly string[];
  };
}

export interface DecodeVector extends Vector {
  readonly kind: "single" | "multi";
  readonly raw: string;
  readonly expect: {
    readonly value?: string;
    readonly any_of?: readonly string[];
    readonly error?: boolean | string;
  };
}

export interface QueryVector extends Vector {
  readonly query: string;
  readonly expect: { readonly message?: JsonValue; readonly error?: string };
}

export interface HttpVector extends Vector {
  readonly name: string;
  readonly request: HttpRequest;
  readonly expect: HttpExpectation;
}

export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly headers_raw?: readonly (readonly [string, string])[];
  readonly body?: string;
  readonly body_base64?: string;
  readonly body_gzip?: string;
  readonly body_repeat?: {
    readonly prefix?: string;
    readonly open?: string;
    readonly mid?: string;
    readonly close?: string;
    readonly suffix?: string;
    readonly times: number;
  };
  readonly body_gzip_repeat?: {
    readonly char: string;
    readonly times: number;
    readonly wrap?: readonly [string, string];
  };
  /** Requests are always sent over a raw socket. A string is the complete request. */
  readonly raw_socket?: boolean | string;
}

export interface HttpExpectation {
  /** null if the method must not be called. */
  readonly rpc?: { readonly method: string; readonly message: JsonValue } | null;
  readonly reply?: StubReply;
  readonly http?: number;
  readonly http_any?: readonly number[];
  readonly headers?: Readonly<Record<string, readonly string[]>>;
  readonly body_json?: JsonValue;
  readonly body_json_any?: readonly JsonValue[];
  readonly body_json_partial?: JsonValue;
  readonly body_text?: string;
  readonly no_body?: boolean;
  /** The server must answer another request afterwards. */
  readonly then_alive?: boolean;
}

/** What the method returns or throws. An error comes after the messages. */
export interface StubReply {
  readonly message?: JsonValue;
  readonly messages?: readonly JsonValue[];
  /** Return the message of the request. */
  readonly echo?: boolean;
  readonly error?: {
    readonly code: string;
    readonly message: string;
    readonly details?: readonly JsonObject[];
  };
}

export interface EncodeVector extends Vector {
  readonly rule: JsonObject;
  readonly message: JsonValue;
  readonly expect: {
    readonly path?: string;
    readonly query?: string;
    readonly body?: JsonValue;
    readonly error?: string;
  };
}

export interface Suites {
  readonly template: readonly TemplateVector[];
  readonly route: readonly RouteVector[];
  readonly decode: readonly DecodeVector[];
  readonly query: readonly QueryVector[];
  readonly http: readonly HttpVector[];
  readonly encode: readonly EncodeVector[];
}

/** Reads a vector file, without checking the vectors. @throws Error that names the file, if it is missing or has another format */
export function readVectors(path: string): Partial<Suites> {
  const json = parseFile(path);
  if (!isObject(json) || json.format !== format) throw new Error(`${path}: the format is not ${format}`);
  const { suites } = json;
  if (!isObject(suites)) throw new Error(`${path}: there are no suites`);
  for (const [name, vectors] of Object.entries(suites)) {
    if (!Object.hasOwn(shapes, name)) throw new Error(`${path}: the suite ${name} is unknown`);
    if (!Array.isArray(vectors)) throw new Error(`${path}: the suite ${name} is not a list`);
  }
  return suites as Partial<Suites>;
}

const format = "transcoding-vectors/1";

function parseFile(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new Error(`${path}: the file can't be read`, { cause: error });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${path}: the file is not JSON`, { cause: error });
  }
}

/** Finds parts of a vector that the runner doesn't know, so that it can't run it. Returns a message per part. */
export function findUnknown(suite: keyof Suites, vector: unknown): string[] {
  return unknownIn(shapes[suite], vector, "");
}

/** The allowed keys of an object and its members. */
type Shape = "any" | { readonly keys: Readonly<Record<string, Shape>> } | { readonly items: Shape };

const any = "any" as const;

function keys(names: string, more: Readonly<Record<string, Shape>> = {}): Shape {
  return { keys: { ...Object.fromEntries(names.split(" ").map((name) => [name, any])), ...more } };
}

function vector(names: string, more: Readonly<Record<string, Shape>>): Shape {
  return keys(`id level note observed source ${names}`, more);
}

const shapes: Readonly<Record<keyof Suites, Shape>> = {
  template: vector("template ext expect_ext", {
    expect: keys("ok segments verb", { vars: { items: keys("path start end") } }),
  }),
  route: vector("expect_registration_error", {
    routes: { items: keys("id method template") },
    requests: {
      items: keys("method path level note observed source", { expect: keys("match vars status allow") }),
    },
  }),
  decode: vector("kind raw", { expect: keys("value any_of error") }),
  query: vector("query", { expect: keys("message error") }),
  http: vector("name variant", {
    request: keys("method path headers headers_raw body body_base64 body_gzip raw_socket", {
      body_repeat: keys("prefix open mid close suffix times"),
      body_gzip_repeat: keys("char times wrap"),
    }),
    expect: keys(
      "http http_any headers body_json body_json_any body_json_partial body_text no_body then_alive",
      {
        rpc: keys("method message"),
        reply: keys("message messages echo", { error: keys("code message details") }),
      },
    ),
  }),
  encode: vector("rule message", { expect: keys("path query body error") }),
};

function unknownIn(shape: Shape, value: unknown, path: string): string[] {
  if (shape === "any" || value === null || value === undefined) return [];
  if ("items" in shape) {
    if (!Array.isArray(value)) return [`${path} is not a list`];
    return value.flatMap((item, i) => unknownIn(shape.items, item, `${path}[${i}]`));
  }
  if (!isObject(value)) return [`${path || "the vector"} is not an object`];
  return Object.entries(value).flatMap(([key, inner]) => {
    const at = path ? `${path}.${key}` : key;
    const known = Object.hasOwn(shape.keys, key) ? shape.keys[key] : undefined;
    return known ? unknownIn(known, inner, at) : [`${at} is unknown`];
  });
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
