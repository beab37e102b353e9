import {
  type DescEnum,
  type DescField,
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
  type MessageShape,
  ScalarType,
} from "@bufbuild/protobuf";
import { isWrapperDesc } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import { depthMax, refuseTraps } from "./json-text.ts";
import { malformed } from "./wire-error.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * Parses bytes as JSON.
 *
 * @throws INVALID_ARGUMENT. The message does not repeat the input.
 */
export function parseJson(bytes: Uint8Array): JsonValue {
  if (bytes.length === 0) throw malformed("the body is empty: send a JSON object ({} for an empty message)");
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw malformed("the body is not valid UTF-8");
  }
  let json: JsonValue;
  try {
    json = JSON.parse(text) as JsonValue;
  } catch {
    throw malformed("the body is not valid JSON: send a JSON object");
  }
  refuseTraps(text);
  return json;
}

/**
 * Reads a message from proto JSON. Unknown fields are ignored.
 *
 * @param prefix put before the paths of fields in errors, such as `shelf.`
 * @throws INVALID_ARGUMENT that names the fields by their whole path in proto spelling.
 */
export function messageFromJson<D extends DescMessage>(
  desc: D,
  json: JsonValue,
  prefix = "",
): MessageShape<D> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw malformed(
      `a JSON object is expected${prefix && ` for ${prefix.slice(0, -1)}`} ({} for an empty message)`,
      ...(prefix ? [prefix.slice(0, -1)] : []),
    );
  }
  // What fromJson lets pass; it also bounds the depth before anything recurses on its own.
  refuseHazards(desc, json, prefix, 0);
  try {
    return fromJson(desc, json, { ignoreUnknownFields: true });
  } catch {
    // Its error names one level of the path and may quote the input.
    throw findFault(desc, json, prefix) ?? malformed("the body is not a valid message");
  }
}

/** What a JSON parser loses or takes too kindly: large and oddly spelled numbers, halves of characters, depth. */
function refuseHazards(desc: DescMessage, json: JsonValue, prefix: string, depth: number): void {
  if (depth > depthMax) throw malformed("the message is nested too deeply");
  if (!isObject(json)) return;
  for (const field of desc.fields) {
    for (const key of keysOf(field, json)) {
      const value = json[key];
      if (value === undefined) continue;
      for (const item of itemsOf(field, value)) refuseItem(field, item, prefix + field.name, depth);
    }
  }
}

function itemsOf(field: DescField, value: JsonValue): JsonValue[] {
  if (field.fieldKind === "list" && Array.isArray(value)) return value;
  if (field.fieldKind === "map" && isObject(value)) return Object.values(value);
  return [value];
}

function refuseItem(field: DescField, value: JsonValue, path: string, depth: number): void {
  const { message } = field;
  if (field.enum) refuseUnknownName(field.enum, value, path);
  else if (!message) refuseScalar(valueTypeOf(field), value, path);
  // Messages with a JSON of their own.
  else if (isWrapperDesc(message)) refuseScalar(message.fields[0].scalar, value, path);
  else if (wellKnownForms.has(message.typeName))
    wellKnownForms.get(message.typeName)?.(value, path, depth + 1);
  else refuseHazards(message, value, `${path}.`, depth + 1);
}

function valueTypeOf(field: DescField): ScalarType {
  return field.scalar ?? ScalarType.STRING;
}

const wellKnownForms = new Map<string, (value: JsonValue, path: string, depth: number) => void>([
  ["google.protobuf.Struct", refuseHalves],
  ["google.protobuf.Value", refuseHalves],
  ["google.protobuf.ListValue", refuseHalves],
  // fromJson reads "3sxyz" as 3 seconds, and the 31st of February as the 3rd of March.
  [
    "google.protobuf.Duration",
    refuseUnless("a duration such as 3.5s", (text) => /^-?[0-9]{1,12}(\.[0-9]{1,9})?s$/.test(text)),
  ],
  ["google.protobuf.Timestamp", refuseUnless("a time such as 2026-01-31T12:00:00Z", isDate)],
]);

function refuseUnless(expected: string, isValid: (text: string) => boolean) {
  return (value: JsonValue, path: string) => {
    if (typeof value === "string" && !isValid(value))
      throw malformed(`${path} is not valid: ${expected} is expected`, path);
  };
}

function isDate(text: string): boolean {
  const [, year, month, day] = /^([0-9]{4})-([0-9]{2})-([0-9]{2})T/.exec(text) ?? [];
  const date = new Date(`${year}-${month}-${day}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.getUTCDate() === Number(day);
}

/** Free JSON: every string in it, at any depth. */
function refuseHalves(value: JsonValue, path: string, depth: number): void {
  if (depth > depthMax) throw malformed("the message is nested too deeply");
  if (typeof value === "string") refuseScalar(ScalarType.STRING, value, path);
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    refuseScalar(ScalarType.STRING, key, path);
    refuseHalves(inner, path, depth + 1);
  }
}

/** fromJson, told to ignore unknown fields, ignores unknown names of enum values too. */
function refuseUnknownName(desc: DescEnum, value: JsonValue, path: string): void {
  if (typeof value !== "string" || desc.values.some(({ name }) => name === value)) return;
  throw malformed(`${path} is not valid: one of ${namesOf(desc)} is expected`, path);
}

function refuseScalar(scalar: ScalarType, value: JsonValue, path: string): void {
  if (scalar === ScalarType.STRING) {
    if (typeof value === "string" && !value.isWellFormed())
      throw malformed(`${path} is not well-formed Unicode`, path);
    return;
  }
  if (scalar === ScalarType.BOOL || scalar === ScalarType.BYTES) return;
  const isFloat = scalar === ScalarType.DOUBLE || scalar === ScalarType.FLOAT;
  if (typeof value === "number" && !isFloat && !Number.isSafeInteger(value)) {
    throw malformed(`${path} is not an integer that a JSON number holds exactly: quote it`, path);
  }
  if (typeof value !== "string") return;
  if (isFloat && /^(NaN|-?Infinity)$/.test(value)) return;
  if (!/^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$/.test(value))
    throw malformed(`${path} is not a number`, path);
}

/** The keys of the object that name the field: none, one, or both of its spellings. */
function keysOf(field: DescField, json: JsonObject): string[] {
  const names = field.jsonName === field.name ? [field.name] : [field.jsonName, field.name];
  return names.filter((name) => Object.hasOwn(json, name));
}

/** Finds which field cannot be read, by reading each alone. Only for messages that could not be read whole. */
function findFault(desc: DescMessage, json: JsonObject, prefix: string): ConnectError | undefined {
  const conflict = findConflict(desc, json, prefix);
  if (conflict) return conflict;
  for (const field of desc.fields) {
    const [key] = keysOf(field, json);
    const value = key === undefined ? undefined : json[key];
    if (key === undefined || value === undefined || canRead(desc, key, value)) continue;
    const path = prefix + field.name;
    if (field.fieldKind === "message" && isObject(value)) {
      const inner = findFault(field.message, value, `${path}.`);
      if (inner) return inner;
    }
    return malformed(`${path} is not valid: ${expectationOf(field)} is expected`, path);
  }
  return undefined;
}

function findConflict(desc: DescMessage, json: JsonObject, prefix: string): ConnectError | undefined {
  for (const field of desc.fields) {
    const keys = keysOf(field, json);
    if (keys.length > 1) {
      return malformed(
        `${prefix}${field.name} is given twice, as ${keys.join(" and ")}: keep one`,
        prefix + field.name,
      );
    }
  }
  for (const oneof of desc.oneofs) {
    const set = oneof.fields.filter((field) => keysOf(field, json).some((key) => json[key] !== null));
    if (set.length < 2) continue;
    const paths = set.map((field) => prefix + field.name);
    return malformed(
      `${paths.join(", ")} are set, of which there can be only one: keep exactly one of them`,
      ...paths,
    );
  }
  return undefined;
}

function canRead(desc: DescMessage, key: string, value: JsonValue): boolean {
  try {
    fromJson(desc, { [key]: value }, { ignoreUnknownFields: true });
    return true;
  } catch {
    return false;
  }
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function expectationOf(field: DescField): string {
  if (field.fieldKind === "list") return "a list of valid items";
  if (field.fieldKind === "map") return "an object of valid entries";
  if (field.fieldKind === "enum") return `one of ${namesOf(field.enum)}`;
  if (field.fieldKind === "message") return `a valid ${field.message.typeName}`;
  if (field.scalar === ScalarType.STRING) return "a string";
  if (field.scalar === ScalarType.BOOL) return "true or false";
  if (field.scalar === ScalarType.BYTES) return "a base64 string";
  return "a number in range";
}

function namesOf(desc: DescEnum): string {
  return desc.values.map((value) => value.name).join(", ");
}
