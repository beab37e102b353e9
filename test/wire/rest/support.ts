import { readdirSync, readFileSync } from "node:fs";
import {
  create,
  createFileRegistry,
  createRegistry,
  type DescMethod,
  type DescMethodUnary,
  type DescService,
  type FileRegistry,
  fromBinary,
  fromJson,
  type JsonObject,
  type JsonValue,
  type Message,
  toJson,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { http } from "../../../gen/google/api/annotations_pb.ts";
import { type BoundService, bind } from "../../../src/wire/wire.ts";

const folder = new URL("../../vectors/", import.meta.url);

interface Vector {
  readonly id: string;
  readonly level: "must" | "should" | "optional";
}

export interface TemplateVector extends Vector {
  readonly template: string;
  readonly expect:
    | { readonly ok: false }
    | {
        readonly ok: true;
        readonly segments: readonly string[];
        readonly verb: string;
        readonly vars: readonly { readonly path: string; readonly start: number; readonly end: number }[];
      };
}

export interface RouteVector extends Vector {
  readonly routes: readonly { readonly id: string; readonly method: string; readonly template: string }[];
  readonly expect_registration_error?: boolean;
  readonly requests: readonly {
    readonly method: string;
    readonly path: string;
    readonly expect: {
      readonly match: string | null;
      readonly vars?: Readonly<Record<string, string>>;
      readonly status?: number;
      readonly allow?: readonly string[];
    };
  }[];
}

export interface DecodeVector extends Vector {
  readonly kind: "single" | "multi";
  readonly raw: string;
  readonly expect: {
    readonly value?: string;
    readonly any_of?: readonly string[];
    readonly error?: boolean;
  };
}

export interface QueryVector extends Vector {
  readonly query: string;
  readonly expect: { readonly message: JsonValue } | { readonly error: string };
}

export interface HttpVector extends Vector {
  readonly name: string;
  readonly request: {
    readonly method: string;
    readonly path: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly headers_raw?: readonly [string, string][];
    readonly body?: string;
    readonly body_base64?: string;
    readonly body_repeat?: Readonly<Record<"prefix" | "open" | "mid" | "close" | "suffix", string>> & {
      readonly times: number;
    };
    readonly body_gzip_repeat?: {
      readonly char: string;
      readonly times: number;
      readonly wrap: [string, string];
    };
  };
  readonly expect: {
    readonly rpc?: { readonly method: string; readonly message: JsonValue } | null;
    readonly reply?: {
      readonly message?: JsonValue;
      readonly echo?: boolean;
      readonly error?: {
        readonly code: string;
        readonly message: string;
        readonly details?: readonly JsonObject[];
      };
    };
    readonly http?: number;
    readonly http_any?: readonly number[];
    readonly headers?: Readonly<Record<string, readonly string[]>>;
    readonly body_json?: JsonValue;
    readonly body_json_any?: readonly JsonValue[];
    readonly body_json_partial?: JsonObject;
  };
}

export interface EncodeVector extends Vector {
  readonly rule: JsonObject;
  readonly message: JsonValue;
  readonly expect:
    | { readonly path: string; readonly query: string; readonly body?: JsonValue }
    | { readonly error: string };
}

interface Suites {
  readonly template: readonly TemplateVector[];
  readonly route: readonly RouteVector[];
  readonly decode: readonly DecodeVector[];
  readonly query: readonly QueryVector[];
  readonly http: readonly HttpVector[];
  readonly encode: readonly EncodeVector[];
}

/** The vectors of one kind, of every file in the folder. */
export function vectorsOf<K extends keyof Suites>(kind: K): readonly Suites[K][number][] {
  const files = readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .map((name): VectorFile => JSON.parse(readFileSync(new URL(name, folder), "utf8")));
  const found: Suites[K][number][] = [];
  for (const { format, suites } of files) {
    if (format === "transcoding-vectors/1") found.push(...(suites[kind] ?? []));
  }
  return found;
}

interface VectorFile {
  readonly format: string;
  readonly suites: Partial<Suites>;
}

const descriptors = fromBinary(FileDescriptorSetSchema, readFileSync(new URL("vectors.binpb", folder)));

const registry = createFileRegistry(descriptors);

export const vectorService = serviceOf(registry, "transcoding.vectors.v1.VectorService");

export const { methods } = vectorService;

/** The unary method of the vectors by its name. */
export function methodNamed(name: string): DescMethodUnary {
  return unary(methods.find((method) => method.name === name));
}

/** What methods are like. Their messages are those of the vectors, or, with a dot before it, of a full name. */
export interface MethodShape {
  readonly input?: string;
  readonly output?: string;
  readonly clientStreaming?: boolean;
  readonly serverStreaming?: boolean;
}

/** A service of methods that have these rules, in proto JSON. They take and return Scalars unless told otherwise. */
export function serviceWithRules(
  rules: Readonly<Record<string, JsonObject>>,
  { input = "Scalars", output = "Scalars", ...streaming }: MethodShape = {},
): DescService {
  const nameOf = (type: string) => (type.startsWith(".") ? type : `.transcoding.vectors.v1.${type}`);
  const file = fromJson(
    FileDescriptorProtoSchema,
    {
      name: "rules.proto",
      package: "rules",
      syntax: "proto3",
      dependency: [
        "vectors.proto",
        "google/api/annotations.proto",
        "google/api/httpbody.proto",
        "google/protobuf/empty.proto",
      ],
      service: [
        {
          name: "Rules",
          method: Object.entries(rules).map(([name, rule]) => ({
            name,
            inputType: nameOf(input),
            outputType: nameOf(output),
            ...streaming,
            options: { "[google.api.http]": rule },
          })),
        },
      ],
    },
    { registry: createRegistry(http) },
  );
  const set = create(FileDescriptorSetSchema, { file: [...descriptors.file, file] });
  return serviceOf(createFileRegistry(set), "rules.Rules");
}

/** The methods of such a service, which are unary. */
export function methodsWithRules(
  rules: Readonly<Record<string, JsonObject>>,
  shape?: MethodShape,
): DescMethodUnary[] {
  return serviceWithRules(rules, shape).methods.map(unary);
}

/** The proto JSON of a message after a round trip, so that spellings do not differ. */
export function canonical(desc: DescMethod["input"], json: JsonValue): JsonValue {
  return toJson(desc, fromJson(desc, json));
}

export function jsonOf(desc: DescMethod["input"], message: Message): JsonValue {
  return toJson(desc, message);
}

function serviceOf(from: FileRegistry, name: string): DescService {
  const service = from.getService(name);
  if (!service) throw new Error(`there is no service ${name}`);
  return service;
}

function unary(method: DescMethod | undefined): DescMethodUnary {
  if (method?.methodKind !== "unary") throw new Error(`${method} is no unary method`);
  return method as DescMethodUnary;
}

/** Binds every unary method of a service to one function, which returns proto JSON. */
export function bindJson(
  service: DescService,
  work: (method: DescMethod, input: Message, context: HandlerContext) => JsonValue,
): BoundService {
  const methods = service.methods.map((method) => {
    const impl = (input: Message, context: HandlerContext) =>
      fromJson(method.output, work(method, input, context));
    return [method.localName, impl];
  });
  return bind(service, Object.fromEntries(methods));
}
