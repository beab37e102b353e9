import type { DescField, DescMessage, JsonObject, JsonValue } from "@bufbuild/protobuf";
import { hasCustomJsonRepresentation } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import { malformed } from "../call/wire-error.ts";

/** INVALID_ARGUMENT that blames a field; without a path, the message as a whole. */
export function fault(path: string, problem: string): ConnectError {
  return malformed(`${path || "the body"} ${problem}`, ...(path ? [path] : []));
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The keys of the object that name the field: none, one, or both of its spellings. */
export function keysOf(field: DescField, json: JsonObject): string[] {
  const names = field.jsonName === field.name ? [field.name] : [field.jsonName, field.name];
  return names.filter((name) => Object.hasOwn(json, name));
}

/** Whether null sets the field. Any other field it leaves unset. */
export function takesNull(field: DescField): boolean {
  const { typeName } = field.message ?? field.enum ?? {};
  return typeName === "google.protobuf.Value" || typeName === "google.protobuf.NullValue";
}

/**
 * The same message without variants of a oneof that are null. Proto JSON takes null for unset; fromJson takes a null
 * that stands for a message as the variant that is set.
 */
export function withoutNullVariants(desc: DescMessage, json: JsonObject): JsonObject {
  const kept = { ...json };
  for (const field of desc.fields) {
    for (const key of keysOf(field, json)) {
      const value = json[key];
      if (value === null && field.oneof && !takesNull(field)) delete kept[key];
      else if (value !== undefined) kept[key] = inField(field, value);
    }
  }
  return kept;
}

function inField(field: DescField, value: JsonValue): JsonValue {
  const { message } = field;
  if (!message || hasCustomJsonRepresentation(message)) return value;
  const inItem = (item: JsonValue) => (isObject(item) ? withoutNullVariants(message, item) : item);
  if (field.fieldKind === "list") return Array.isArray(value) ? value.map(inItem) : value;
  if (field.fieldKind !== "map") return inItem(value);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inItem(item)]));
}
