import {
  type DescEnum,
  type DescField,
  type DescMessage,
  type JsonObject,
  type JsonValue,
  ScalarType,
} from "@bufbuild/protobuf";
import { protoCamelCase, protoSnakeCase } from "@bufbuild/protobuf/reflect";
import { isWrapperDesc } from "@bufbuild/protobuf/wkt";
import { malformed } from "../call/wire-error.ts";

/** A field of a message, and before it the singular message fields that lead to it. */
export type FieldPath = readonly DescField[];

/** More parameters than any method needs. */
const parametersMax = 100;

/** The depth to which protobuf-es reads messages. */
const depthMax = 100;

/**
 * Puts the parameters of a query into the proto JSON of a message. Names are paths of proto names or JSON names.
 *
 * @param taken the paths that the path or the body of the request is for, with all that is below them.
 * @throws INVALID_ARGUMENT for what is unknown, taken, given twice, or no value of its field. It repeats no value.
 */
export function setQuery(json: JsonObject, desc: DescMessage, query: string, taken: readonly string[]): void {
  for (const [name, text] of parseQuery(query)) {
    const path = findField(desc, name);
    if (!path) {
      throw malformed(
        "this method has no query parameter of that name: check it against the contract",
        ...quotable(name),
      );
    }
    const spelled = protoPath(path);
    if (taken.some((other) => spelled === other || spelled.startsWith(`${other}.`))) {
      throw malformed(`${spelled} comes from the path or the body: leave it out of the query`, spelled);
    }
    setParameter(json, path, text);
  }
}

/**
 * Puts a text from the path or the query into the proto JSON of a message. A repeated field gets one value more.
 *
 * @throws INVALID_ARGUMENT if it is no value of the field, or the field has one already. It does not repeat the text.
 */
export function setParameter(json: JsonObject, path: FieldPath, text: string): void {
  const spelled = protoPath(path);
  const field = path.at(-1);
  const form = field && formOf(field);
  if (!form) throw malformed(`${spelled} is more than a value: give its fields one by one`, spelled);
  const value = form.read(text);
  if (value === undefined) throw malformed(`${spelled} is not valid: ${form.expected} is expected`, spelled);

  let parent = json;
  for (const outer of path.slice(0, -1)) parent = openChild(parent, outer, spelled);
  const key = keyOf(parent, field);
  if (field.fieldKind === "list") {
    const before = key === undefined ? [] : parent[key];
    parent[field.jsonName] = Array.isArray(before) ? [...before, value] : [value];
  } else {
    if (key !== undefined) throw malformed(`${spelled} is given twice: keep one`, spelled);
    parent[field.jsonName] = value;
  }
}

/** Whether the proto JSON has the field, under either of its names. */
export function isGiven(json: JsonObject, path: FieldPath): boolean {
  let value: JsonValue | undefined = json;
  for (const field of path) {
    const key: string | undefined = isObject(value) ? keyOf(value, field) : undefined;
    if (!isObject(value) || key === undefined) return false;
    value = value[key];
  }
  return true;
}

/** Finds a field by a path of proto names or JSON names. Undefined if there is none. */
export function findField(desc: DescMessage, path: string): FieldPath | undefined {
  const names = path.split(".");
  if (names.length > depthMax) return undefined;
  const fields: DescField[] = [];
  let parent: DescMessage | undefined = desc;
  for (const name of names) {
    const field: DescField | undefined = parent && fieldsOf(parent).get(name);
    if (!field) return undefined;
    fields.push(field);
    parent = field.fieldKind === "message" && !isWellKnown(field.message) ? field.message : undefined;
  }
  return fields;
}

/** The path in proto spelling, such as `book.name`. */
export function protoPath(path: FieldPath): string {
  return path.map((field) => field.name).join(".");
}

/** Splits a query as forms are (WHATWG URL §5.1), but refuses what is not the percent-encoding of UTF-8. */
function parseQuery(query: string): (readonly [name: string, text: string])[] {
  const pairs = query.split("&").filter((pair) => pair !== "");
  if (pairs.length > parametersMax)
    throw malformed(`there are too many query parameters: send at most ${parametersMax}`);
  return pairs.map((pair) => {
    const equals = pair.indexOf("=");
    return equals === -1
      ? [decode(pair), ""]
      : [decode(pair.slice(0, equals)), decode(pair.slice(equals + 1))];
  });
}

function decode(raw: string): string {
  const problem = "the query is not the percent-encoding of text in UTF-8";
  // RFC 3986 §3.4: what is not ASCII comes percent-encoded. Node hands such bytes over as Latin-1.
  if (!/^[!-~]*$/.test(raw)) throw malformed(problem);
  try {
    return decodeURIComponent(raw.replaceAll("+", " "));
  } catch {
    throw malformed(problem);
  }
}

/** A name that does not look like one may be a secret in the wrong place. It is not repeated. */
function quotable(name: string): string[] {
  return /^[a-z][A-Za-z0-9_.]{0,49}$/.test(name) ? [name] : [];
}

const fieldsByDesc = new WeakMap<DescMessage, ReadonlyMap<string, DescField>>();

function fieldsOf(desc: DescMessage): ReadonlyMap<string, DescField> {
  const known = fieldsByDesc.get(desc);
  if (known) return known;
  const fields = new Map<string, DescField>();
  for (const field of desc.fields) fields.set(field.jsonName, field);
  for (const field of desc.fields) fields.set(field.name, field);
  fieldsByDesc.set(desc, fields);
  return fields;
}

function openChild(object: JsonObject, field: DescField, spelled: string): JsonObject {
  const key = keyOf(object, field);
  // In proto JSON null is the same as nothing.
  const child = key === undefined ? null : object[key];
  if (isObject(child)) return child;
  if (child !== null) throw malformed(`an object is expected around ${spelled}`, spelled);
  const opened: JsonObject = {};
  object[key ?? field.jsonName] = opened;
  return opened;
}

function keyOf(object: JsonObject, field: DescField): string | undefined {
  if (Object.hasOwn(object, field.jsonName)) return field.jsonName;
  return Object.hasOwn(object, field.name) ? field.name : undefined;
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether the field can be given by one parameter, or by several if it is repeated. */
export function isParameter(field: DescField): boolean {
  return formOf(field) !== undefined;
}

/** Messages with a proto JSON of their own are given whole or not at all: `timestamp.seconds` is no parameter. */
export function isWellKnown(desc: DescMessage): boolean {
  return desc.typeName.startsWith("google.protobuf.");
}

/** How a type is written in a path or a query: as in proto JSON, without the quotes. */
interface Form {
  readonly expected: string;
  /** The proto JSON, undefined if the text is not of this form. The range is checked with the whole message. */
  read(text: string): JsonValue | undefined;
}

const string: Form = { expected: "a text", read: (text) => text };

/** protobuf-es would take `0x10`, `+1` and `01` too. */
const integer = formByPattern("a whole number", /^-?(?:0|[1-9][0-9]{0,19})$/);

const float = formByPattern(
  "a number",
  /^(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|NaN|-?Infinity)$/,
);

const bool: Form = {
  expected: "true or false",
  read: (text) => (text === "true" || text === "false" ? text === "true" : undefined),
};

/** RFC 4648 §4 or §5, with or without padding. */
const bytes = formByPattern(
  "base64",
  /^(?:[A-Za-z0-9+/_-]{4})*(?:[A-Za-z0-9+/_-]{2}(?:==)?|[A-Za-z0-9+/_-]{3}=?)?$/,
);

const timestamp = formByPattern(
  "a time such as 2026-01-31T12:00:00Z",
  /^[0-9]{4}(?:-[0-9]{2}){2}T[0-9]{2}(?::[0-9]{2}){2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})$/,
);

const duration = formByPattern("a duration such as 3.5s", /^-?[0-9]{1,12}(?:\.[0-9]{1,9})?s$/);

/** Proto JSON has the paths in camelCase alone. People write them as they are in the contract, too. */
const fieldMask: Form = {
  expected: "a list of fields such as display_name,email.address",
  read(text) {
    const paths = text === "" ? [] : text.split(",");
    if (!paths.every((path) => /^[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*$/.test(path)))
      return undefined;
    const camel = paths.map((path) => (path.includes("_") ? protoCamelCase(path) : path));
    const reversible = paths.every(
      (path, i) => !path.includes("_") || protoSnakeCase(camel[i] ?? "") === path,
    );
    return reversible ? camel.join(",") : undefined;
  },
};

function formByPattern(expected: string, pattern: RegExp): Form {
  return { expected, read: (text) => (pattern.test(text) ? text : undefined) };
}

function enumForm(desc: DescEnum): Form {
  return {
    expected: `one of ${desc.values.map((value) => value.name).join(", ")}`,
    read: (text) => desc.values.find(({ name, number }) => name === text || String(number) === text)?.name,
  };
}

/** Undefined if the field is no single value, nor a list of such. */
function formOf(field: DescField): Form | undefined {
  if (field.fieldKind === "map") return undefined;
  if (field.enum) return enumForm(field.enum);
  return field.message ? messageForm(field.message) : scalarForm(field.scalar);
}

function messageForm(desc: DescMessage): Form | undefined {
  if (isWrapperDesc(desc)) return scalarForm(desc.fields[0].scalar);
  if (desc.typeName === "google.protobuf.Timestamp") return timestamp;
  if (desc.typeName === "google.protobuf.Duration") return duration;
  if (desc.typeName === "google.protobuf.FieldMask") return fieldMask;
  return undefined;
}

function scalarForm(type: ScalarType | undefined): Form {
  switch (type) {
    case ScalarType.STRING:
      return string;
    case ScalarType.BYTES:
      return bytes;
    case ScalarType.BOOL:
      return bool;
    case ScalarType.FLOAT:
    case ScalarType.DOUBLE:
      return float;
    default:
      return integer;
  }
}
