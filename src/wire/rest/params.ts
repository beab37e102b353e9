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
import { isObject, keysOf } from "../json/fields.ts";
import { depthMax } from "../json/strict-text.ts";

/** A field, preceded by the singular message fields that lead to it. */
export type FieldPath = readonly DescField[];

/** Far more than any method needs. */
const parametersMax = 100;

/**
 * Adds the parameters of a query to the proto JSON of a message. Parameter names are paths of proto names or JSON names.
 *
 * @param taken fields that come from the path or the body, with everything below them.
 * @throws INVALID_ARGUMENT for a parameter that is unknown, taken, repeated or invalid. The message never quotes values.
 */
export function setQuery(json: JsonObject, desc: DescMessage, query: string, taken: readonly string[]): void {
  for (const [name, text] of parseQuery(query)) {
    const path = findField(desc, name);
    if (!path) {
      throw malformed(
        "this method has no query parameter of that name: check the API reference",
        ...quotable(name),
      );
    }
    const fieldName = protoPath(path);
    if (taken.some((other) => fieldName === other || fieldName.startsWith(`${other}.`))) {
      throw malformed(`${fieldName} comes from the path or the body: leave it out of the query`, fieldName);
    }
    setParameter(json, path, text);
  }
}

/**
 * Adds a value from the path or the query to the proto JSON of a message. A repeated field gets another item.
 *
 * @throws INVALID_ARGUMENT if the text is not a valid value, or the field is already set. The message never quotes the text.
 */
export function setParameter(json: JsonObject, path: FieldPath, text: string): void {
  const fieldName = protoPath(path);
  const field = path.at(-1);
  const form = field && formOf(field);
  if (!form) throw malformed(`${fieldName} is not a single value: set its fields one by one`, fieldName);
  const value = form.read(text);
  if (value === undefined)
    throw malformed(`${fieldName} is not valid: ${form.expected} is expected`, fieldName);

  let parent = json;
  for (const outer of path.slice(0, -1)) parent = openChild(parent, outer, fieldName);
  const [key] = keysOf(field, parent);
  if (field.fieldKind === "list") {
    const before = key === undefined ? [] : parent[key];
    parent[field.jsonName] = Array.isArray(before) ? [...before, value] : [value];
  } else {
    if (key !== undefined) throw malformed(`${fieldName} is given twice: keep one`, fieldName);
    parent[field.jsonName] = value;
  }
}

/** Whether the proto JSON has the field, by its JSON name or its proto name. */
export function isGiven(json: JsonObject, path: FieldPath): boolean {
  let value: JsonValue | undefined = json;
  for (const field of path) {
    const key: string | undefined = isObject(value) ? keysOf(field, value)[0] : undefined;
    if (!isObject(value) || key === undefined) return false;
    value = value[key];
  }
  return true;
}

/** Finds a field by a path of proto names or JSON names. */
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

/** The path in proto names, such as `book.display_name`. */
export function protoPath(path: FieldPath): string {
  return path.map((field) => field.name).join(".");
}

/** Parses a query like a form (WHATWG URL §5.1), but rejects anything but percent-encoded UTF-8. */
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
  const problem = "the query is not percent-encoded UTF-8";
  // RFC 3986 §3.4: non-ASCII characters must be percent-encoded. Node decodes raw bytes as Latin-1.
  if (!/^[!-~]*$/.test(raw)) throw malformed(problem);
  try {
    return decodeURIComponent(raw.replaceAll("+", " "));
  } catch {
    throw malformed(problem);
  }
}

/** Only quote what looks like a name: anything else may be a misplaced secret. */
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

function openChild(object: JsonObject, field: DescField, fieldName: string): JsonObject {
  const [key] = keysOf(field, object);
  // In proto JSON, null means unset.
  const child = key === undefined ? null : object[key];
  if (isObject(child)) return child;
  if (child !== null) throw malformed(`an object is expected around ${fieldName}`, fieldName);
  const opened: JsonObject = {};
  object[key ?? field.jsonName] = opened;
  return opened;
}

/** Whether the field can be set by a parameter, or by several if it is repeated. */
export function isParameter(field: DescField): boolean {
  return formOf(field) !== undefined;
}

/** Well-known types are set as a whole, if at all: there is no parameter `timestamp.seconds`. */
export function isWellKnown(desc: DescMessage): boolean {
  return desc.typeName.startsWith("google.protobuf.");
}

/** The text form of a type in a path or a query: its proto JSON without quotes. */
interface Form {
  readonly expected: string;
  /** Returns the proto JSON, undefined if the text has another form. The range is checked with the message. */
  read(text: string): JsonValue | undefined;
}

const string: Form = { expected: "a text", read: (text) => text };

/** protobuf-es would also accept `0x10`, `+1` and `01`. */
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

/** Proto JSON allows camelCase paths only, but clients also use the proto names. */
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

/** Undefined for maps, and for messages without a text form. */
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
