import {
  type DescEnum,
  type DescField,
  type DescMessage,
  type JsonValue,
  ScalarType,
} from "@bufbuild/protobuf";
import { isWrapperDesc } from "@bufbuild/protobuf/wkt";
import { malformed } from "../call/wire-error.ts";
import { fault, isObject, keysOf } from "./fields.ts";
import { depthMax } from "./strict-text.ts";

/**
 * Rejects values that JSON.parse() or fromJson() would change or drop: integers too large for a double, numbers in other
 * notations, lone surrogates, unknown enum names, invalid durations and dates, deep nesting.
 *
 * @param path of the message, "" for the body.
 * @throws INVALID_ARGUMENT that names the field.
 */
export function rejectLossyJson(desc: DescMessage, value: JsonValue, path: string, depth = 0): void {
  if (depth > depthMax) throw malformed("the message is nested too deeply");
  const reject = rejectWellKnown.get(desc.typeName);
  if (reject) {
    reject(value, path, depth);
  } else if (isWrapperDesc(desc)) {
    rejectLossyScalar(desc.fields[0].scalar, value, path);
  } else if (isObject(value)) {
    const prefix = path && `${path}.`;
    for (const field of desc.fields) {
      for (const key of keysOf(field, value)) rejectLossyField(field, value[key], prefix + field.name, depth);
    }
  }
}

function rejectLossyField(field: DescField, value: JsonValue | undefined, path: string, depth: number): void {
  if (field.fieldKind === "list" && Array.isArray(value)) {
    for (const [i, item] of value.entries()) rejectLossyItem(field, item, `${path}[${i}]`, depth);
  } else if (field.fieldKind === "map" && isObject(value)) {
    for (const [key, item] of Object.entries(value)) {
      rejectLossyScalar(field.mapKey, key, path);
      rejectLossyItem(field, item, path, depth);
    }
  } else if (value !== undefined) {
    rejectLossyItem(field, value, path, depth);
  }
}

function rejectLossyItem(field: DescField, value: JsonValue, path: string, depth: number): void {
  if (field.message) rejectLossyJson(field.message, value, path, depth + 1);
  else if (field.enum) rejectUnknownEnumName(field.enum, value, path);
  else if (field.scalar !== undefined) rejectLossyScalar(field.scalar, value, path);
}

/** Checks for the well-known types that have a JSON form of their own. */
const rejectWellKnown = new Map<string, (value: JsonValue, path: string, depth: number) => void>([
  ["google.protobuf.Struct", rejectLoneSurrogates],
  ["google.protobuf.Value", rejectLoneSurrogates],
  ["google.protobuf.ListValue", rejectLoneSurrogates],
  ["google.protobuf.FieldMask", rejectLoneSurrogates],
  // fromJson() reads "3sxyz" as 3 seconds, and February 31 as March 3.
  ["google.protobuf.Duration", rejectUnless("a duration such as 3.5s", isDuration)],
  ["google.protobuf.Timestamp", rejectUnless("a time such as 2026-01-31T12:00:00Z", isOnCalendar)],
]);

function rejectUnless(expected: string, isValid: (text: string) => boolean) {
  return (value: JsonValue, path: string) => {
    if (typeof value === "string" && !isValid(value))
      throw fault(path, `is not valid: ${expected} is expected`);
  };
}

function isDuration(text: string): boolean {
  return /^-?[0-9]{1,12}(\.[0-9]{1,9})?s$/.test(text);
}

function isOnCalendar(text: string): boolean {
  const [, year, month, day] = /^([0-9]{4})-([0-9]{2})-([0-9]{2})T/.exec(text) ?? [];
  const date = new Date(`${year}-${month}-${day}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.getUTCDate() === Number(day);
}

/** Checks every string of a free-form value, at any depth. */
function rejectLoneSurrogates(value: JsonValue, path: string, depth: number): void {
  if (depth > depthMax) throw malformed("the message is nested too deeply");
  if (typeof value === "string") rejectLossyScalar(ScalarType.STRING, value, path);
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    rejectLossyScalar(ScalarType.STRING, key, path);
    rejectLoneSurrogates(inner, path, depth + 1);
  }
}

/** With `ignoreUnknownFields`, fromJson() ignores unknown enum names too. */
function rejectUnknownEnumName(desc: DescEnum, value: JsonValue, path: string): void {
  if (typeof value !== "string") return;
  if (desc.values.some(({ name, jsonName }) => name === value || jsonName === value)) return;
  throw fault(path, `is not valid: one of ${namesOf(desc)} is expected`);
}

export function namesOf(desc: DescEnum): string {
  return desc.values.map(({ name }) => name).join(", ");
}

function rejectLossyScalar(scalar: ScalarType, value: JsonValue, path: string): void {
  if (scalar === ScalarType.STRING) {
    if (typeof value === "string" && !value.isWellFormed()) throw fault(path, "is not well-formed Unicode");
    return;
  }
  if (scalar === ScalarType.BOOL || scalar === ScalarType.BYTES) return;
  const isFloat = scalar === ScalarType.DOUBLE || scalar === ScalarType.FLOAT;
  if (typeof value === "number" && !isFloat && !Number.isSafeInteger(value))
    throw fault(path, "is not an integer that a JSON number represents exactly: quote it");
  if (typeof value !== "string") return;
  if (isFloat && /^(NaN|-?Infinity)$/.test(value)) return;
  if (!/^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$/.test(value)) throw fault(path, "is not a number");
}
