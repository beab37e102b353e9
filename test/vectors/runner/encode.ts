import {
  type DescField,
  type DescMessage,
  type DescMethod,
  type JsonObject,
  type JsonValue,
  type Message,
  ScalarType,
  toJson,
} from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence, isWrapperDesc } from "@bufbuild/protobuf/wkt";
import type { HttpRule } from "../../../gen/google/api/http_pb.ts";
import { findField, isWellKnown } from "../../../src/wire/rest/params.ts";
import { literalText, type PathVariable, parsePathTemplate } from "../../../src/wire/rest/path-template.ts";

export interface EncodedRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  /** Undefined if there is no body. */
  readonly body: JsonValue | undefined;
}

/**
 * Encodes a message as a request, like a client does: variables of the template go into the path, the field named by `body`
 * into the body, and all other fields into the query. Uses the first binding that can represent the message.
 *
 * @param spelling of names in the query.
 * @throws Error if no binding can represent the message.
 */
export function encodeRequest(
  method: DescMethod,
  rule: HttpRule,
  message: Message,
  spelling: "json" | "proto" = "json",
): EncodedRequest {
  let problem: unknown;
  for (const binding of [rule, ...rule.additionalBindings]) {
    try {
      return encodeBinding(method, binding, message, spelling);
    } catch (error) {
      problem ??= error;
    }
  }
  throw problem;
}

function encodeBinding(
  { input }: DescMethod,
  rule: HttpRule,
  message: Message,
  spelling: "json" | "proto",
): EncodedRequest {
  const json = toJson(input, message) as JsonObject;
  const { httpMethod, template } = patternOf(rule);
  const path = encodePath(template, input, json);
  let body: JsonValue | undefined;
  if (rule.body === "*") return { method: httpMethod, path, query: "", body: json };
  if (rule.body !== "") {
    const { jsonName } = input.fields.find(({ name }) => name === rule.body)!;
    body = json[jsonName];
    delete json[jsonName];
  }
  const bound = new Set(parsePathTemplate(template).variables.map((variable) => variable.path));
  const query = encodeQuery(input, json, spelling, bound, [], "");
  return { method: httpMethod, path, query: query.join("&"), body };
}

function patternOf({ pattern }: HttpRule): { httpMethod: string; template: string } {
  if (pattern.case === undefined) throw new Error("the rule has no path");
  if (pattern.case === "custom") return { httpMethod: pattern.value.kind, template: pattern.value.path };
  return { httpMethod: pattern.case.toUpperCase(), template: pattern.value };
}

/** Encodes the path, and removes the bound fields from the JSON. */
function encodePath(template: string, input: DescMessage, json: JsonObject): string {
  const { segments, verb, variables } = parsePathTemplate(template);
  const encoded: string[] = [];
  for (let at = 0; at < segments.length; at++) {
    const variable = variables.find(({ start }) => start === at);
    if (!variable) {
      const segment = segments[at] ?? "";
      // An unbound `*` can be any text, such as the `-` of AIP-159, and an unbound `**` can be empty.
      if (segment !== "**") encoded.push(segment === "*" ? "-" : percentEncode(literalText(segment)));
      continue;
    }
    const text = takeText(input, json, variable.path);
    encoded.push(...encodeVariable(variable, segments, text));
    at = (variable.end === -1 ? segments.length : variable.end) - 1;
  }
  return `/${encoded.join("/")}${verb && `:${percentEncode(verb)}`}`;
}

function encodeVariable(
  { path, start, end }: PathVariable,
  segments: readonly string[],
  text: string,
): string[] {
  const pattern = segments.slice(start, end === -1 ? undefined : end);
  const parts = end - start === 1 ? [text] : text === "" ? [] : text.split("/");
  const hasRest = pattern.at(-1) === "**";
  const single = hasRest ? pattern.slice(0, -1) : pattern;
  const matches =
    (hasRest ? parts.length >= single.length : parts.length === single.length) &&
    single.every((segment, i) => segment === "*" || literalText(segment) === parts[i]);
  if (!matches) throw new Error(`the value of ${path} does not match its template`);
  if (parts.includes("")) throw new Error(`the value of ${path} has an empty segment`);
  // Clients and proxies remove dot segments.
  if (parts.includes(".") || parts.includes("..")) throw new Error(`the value of ${path} has a dot segment`);
  if (text.includes("\0")) throw new Error(`the value of ${path} has U+0000`);
  return parts.map(percentEncode);
}

/** `google/api/http.proto`: everything but `[-_.~0-9a-zA-Z]` is percent-encoded. */
function percentEncode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function takeText(input: DescMessage, json: JsonObject, name: string): string {
  const path = findField(input, name) ?? [];
  let parent: JsonObject | undefined = json;
  for (const field of path.slice(0, -1)) parent = parent?.[field.jsonName] as JsonObject | undefined;
  const field = path.at(-1);
  if (!field || !parent) throw new Error(`the path field ${name} is empty`);
  const value = parent[field.jsonName];
  delete parent[field.jsonName];
  if (value !== undefined) return String(value);
  // Fields without presence have a default value.
  if (field.presence !== FeatureSet_FieldPresence.IMPLICIT)
    throw new Error(`the path field ${name} is empty`);
  return defaultText(field);
}

function defaultText(field: DescField): string {
  if (field.enum) return field.enum.values[0]?.name ?? "";
  if (field.scalar === ScalarType.STRING || field.scalar === ScalarType.BYTES) return "";
  return field.scalar === ScalarType.BOOL ? "false" : "0";
}

/** Encodes the remaining fields of a message as parameters. */
function encodeQuery(
  desc: DescMessage,
  json: JsonObject,
  spelling: "json" | "proto",
  bound: ReadonlySet<string>,
  names: readonly string[],
  protoPath: string,
): string[] {
  return desc.fields.flatMap((field) => {
    const value = json[field.jsonName];
    if (value === undefined) return [];
    const path = [...names, spelling === "json" ? field.jsonName : field.name];
    const own = protoPath === "" ? field.name : `${protoPath}.${field.name}`;
    const problem = `${own} can't be sent in a query`;
    if (field.fieldKind === "map") throw new Error(problem);
    if (field.message && !isText(field.message)) {
      if (field.fieldKind === "list" || isWellKnown(field.message)) throw new Error(problem);
      const inner = encodeQuery(field.message, value as JsonObject, spelling, bound, path, own);
      const isOpened = inner.length > 0 || [...bound].some((other) => other.startsWith(`${own}.`));
      // No parameter can express that an empty message is set.
      if (!isOpened) throw new Error(problem);
      return inner;
    }
    const values = field.fieldKind === "list" ? (value as JsonValue[]) : [value];
    return values.map((one) => `${encodeURIComponent(path.join("."))}=${encodeURIComponent(String(one))}`);
  });
}

/** Whether the proto JSON of a message is a string or a number. */
function isText(desc: DescMessage): boolean {
  return (
    isWrapperDesc(desc) ||
    ["google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask"].includes(
      desc.typeName,
    )
  );
}
