import {
  type DescField,
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
  ScalarType,
} from "@bufbuild/protobuf";
import { hasCustomJsonRepresentation } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import { malformed } from "../call/wire-error.ts";
import { fault, isObject, keysOf, takesNull } from "./fields.ts";
import { namesOf } from "./strict-values.ts";

/**
 * Finds the field that fromJson() rejects, by reading each field on its own. The error of fromJson() names only one level
 * of the path, and may quote the input.
 *
 * @param path of the message, "" for the body.
 */
export function findFault(desc: DescMessage, json: JsonObject, path: string): ConnectError | undefined {
  const prefix = path && `${path}.`;
  const conflict = findSpelledTwice(desc, json, prefix) ?? findTwoVariants(desc, json, prefix);
  if (conflict) return conflict;
  for (const field of desc.fields) {
    const [key] = keysOf(field, json);
    const value = key === undefined ? undefined : json[key];
    if (value === undefined || canRead(desc, field, value)) continue;
    return faultOf(desc, field, value, prefix + field.name);
  }
  return undefined;
}

function faultOf(desc: DescMessage, field: DescField, value: JsonValue, path: string): ConnectError {
  if (field.fieldKind === "list" && Array.isArray(value)) {
    const i = value.findIndex((item) => !canRead(desc, field, [item]));
    return faultOfItem(field, value[i], `${path}[${i}]`);
  }
  if (field.fieldKind === "list") return notValid(path, "a list");
  if (field.fieldKind === "map") return notValid(path, "an object of valid entries");
  return faultOfItem(field, value, path);
}

function faultOfItem(field: DescField, value: JsonValue | undefined, path: string): ConnectError {
  const { message } = field;
  const inner =
    message && isObject(value) && !hasCustomJsonRepresentation(message)
      ? findFault(message, value, path)
      : undefined;
  return inner ?? notValid(path, expectationOf(field));
}

function notValid(path: string, expected: string): ConnectError {
  return fault(path, `is not valid: ${expected} is expected`);
}

function findSpelledTwice(desc: DescMessage, json: JsonObject, prefix: string): ConnectError | undefined {
  const field = desc.fields.find((field) => keysOf(field, json).length > 1);
  if (!field) return undefined;
  const path = prefix + field.name;
  return fault(path, `is given twice, as ${keysOf(field, json).join(" and ")}: keep one`);
}

function findTwoVariants(desc: DescMessage, json: JsonObject, prefix: string): ConnectError | undefined {
  for (const oneof of desc.oneofs) {
    const set = oneof.fields.filter((field) =>
      keysOf(field, json).some((key) => json[key] !== null || takesNull(field)),
    );
    if (set.length < 2) continue;
    const paths = set.map((field) => prefix + field.name);
    return malformed(`only one of ${paths.join(", ")} can be set: keep one`, ...paths);
  }
  return undefined;
}

function canRead(desc: DescMessage, field: DescField, value: JsonValue): boolean {
  try {
    fromJson(desc, { [field.name]: value }, { ignoreUnknownFields: true });
    return true;
  } catch {
    return false;
  }
}

function expectationOf(field: DescField): string {
  if (field.enum) return `one of ${namesOf(field.enum)}`;
  if (field.message) return `a valid ${field.message.typeName}`;
  if (field.scalar === ScalarType.STRING) return "a string";
  if (field.scalar === ScalarType.BOOL) return "true or false";
  if (field.scalar === ScalarType.BYTES) return "a base64 string";
  return "a number in range";
}
