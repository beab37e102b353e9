import { type DescMessage, fromJson, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import { hasCustomJsonRepresentation } from "@bufbuild/protobuf/wkt";
import { malformed } from "../call/wire-error.ts";
import { findFault } from "./faults.ts";
import { fault, isObject, withoutNullVariants } from "./fields.ts";
import { rejectDeepOrDuplicateKeys } from "./strict-text.ts";
import { rejectLossyJson } from "./strict-values.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * Parses bytes as JSON.
 *
 * @throws INVALID_ARGUMENT. The message never quotes the input.
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
  rejectDeepOrDuplicateKeys(text);
  return json;
}

/**
 * Reads a message from proto JSON. Ignores unknown fields.
 *
 * @param path of the message in an enclosing message, such as `shelf`. Errors name fields relative to that.
 * @throws INVALID_ARGUMENT with the full paths of the invalid fields, in proto names.
 */
export function messageFromJson<D extends DescMessage>(desc: D, json: JsonValue, path = ""): MessageShape<D> {
  const isPlain = !hasCustomJsonRepresentation(desc);
  if (isPlain && !isObject(json)) throw fault(path, "is not a JSON object: send {} for an empty message");
  rejectLossyJson(desc, json, path);
  try {
    return read(desc, json);
  } catch {
    if (!isPlain || !isObject(json)) throw fault(path, `is not valid: a ${desc.typeName} is expected`);
    const kept = withoutNullVariants(desc, json);
    const found = findFault(desc, kept, path);
    if (found) throw found;
    return read(desc, kept);
  }
}

function read<D extends DescMessage>(desc: D, json: JsonValue): MessageShape<D> {
  return fromJson(desc, json, { ignoreUnknownFields: true });
}
