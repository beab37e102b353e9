import { type DescMessage, type JsonObject, ScalarType } from "@bufbuild/protobuf";
import { isWrapperDesc } from "@bufbuild/protobuf/wkt";

/** The JSON Schema (2020-12) of a scalar in proto3 JSON. */
export function scalarSchema(type: ScalarType): JsonObject {
  switch (type) {
    case ScalarType.STRING:
      return { type: "string" };
    case ScalarType.BYTES:
      return { type: "string", contentEncoding: "base64" };
    case ScalarType.BOOL:
      return { type: "boolean" };
    case ScalarType.FLOAT:
    case ScalarType.DOUBLE:
      return {
        anyOf: [
          { type: "number", format: type === ScalarType.FLOAT ? "float" : "double" },
          { type: "string", enum: ["NaN", "Infinity", "-Infinity"] },
        ],
      };
    // Proto JSON quotes 64-bit integers, because JSON numbers are exact only up to 2^53.
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return { type: "string", format: "int64", pattern: "^-?[0-9]{1,19}$" };
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return { type: "string", format: "uint64", pattern: "^[0-9]{1,20}$" };
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return { type: "integer", format: "uint32", minimum: 0, maximum: 4_294_967_295 };
    default:
      return { type: "integer", format: "int32", minimum: -2_147_483_648, maximum: 2_147_483_647 };
  }
}

/** The JSON Schema of a well-known type other than Any. Undefined for other messages. */
export function wellKnownSchema(desc: DescMessage): JsonObject | undefined {
  if (isWrapperDesc(desc)) return nullable(scalarSchema(desc.fields[0].scalar));
  return wellKnown[desc.typeName];
}

function nullable(schema: JsonObject): JsonObject {
  return typeof schema.type === "string"
    ? { ...schema, type: [schema.type, "null"] }
    : { anyOf: [schema, { type: "null" }] };
}

const wellKnown: Readonly<Record<string, JsonObject>> = {
  "google.protobuf.Timestamp": { type: "string", format: "date-time" },
  "google.protobuf.Duration": {
    type: "string",
    pattern: "^-?[0-9]{1,12}(\\.[0-9]{1,9})?s$",
    description: "Seconds, with up to nine fractional digits.",
  },
  "google.protobuf.FieldMask": {
    type: "string",
    pattern: "^([A-Za-z][A-Za-z0-9_.]*(,[A-Za-z][A-Za-z0-9_.]*)*)?$",
    description: "Paths of fields, comma separated.",
  },
  "google.protobuf.Empty": { type: "object" },
  "google.protobuf.Struct": { type: "object" },
  "google.protobuf.ListValue": { type: "array", items: {} },
  "google.protobuf.Value": { description: "Any JSON value." },
};
