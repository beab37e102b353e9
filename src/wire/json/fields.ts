import type { DescField, DescMessage, JsonObject, JsonValue } from "@bufbuild/protobuf";
import { hasCustomJsonRepresentation } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import { malformed } from "../call/wire-error.ts";

/** INVALID_ARGUMENT for a field, or for the whole body if the path is empty. */
export function fault(path: string, problem: string): ConnectError {
  return malformed(`${path || "the body"} ${problem}`, ...(path ? [path] : []));
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The keys of the object that name the field: its JSON name, its proto name, both or neither. */
export function keysOf(field: DescField, json: JsonObject): string[] {
  const names = field.jsonName === field.name ? [field.name] : [field.jsonName, field.name];
  return names.filter((name) => Object.hasOwn(json, name));
}

/** Whether null is a value of the field. In other fields it means unset. */
export function takesNull(field: DescField): boolean {
  const { typeName } = field.message ?? field.enum ?? {};
  return typeName === "google.protobuf.Value" || typeName === "google.protobuf.NullValue";
}

/** Removes oneof members that are null. In proto JSON they are unset, but fromJson() sets a message member that is null. */
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
