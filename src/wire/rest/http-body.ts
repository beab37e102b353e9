import {
  type DescField,
  type DescMessage,
  isFieldSet,
  type JsonObject,
  type Message,
} from "@bufbuild/protobuf";

/** A raw body (google/api/httpbody.proto). Its `extensions` are gRPC metadata, which HTTP has no place for. */
type HttpBody = Message<"google.api.HttpBody"> & {
  readonly contentType: string;
  readonly data: Uint8Array;
};

export function isHttpBody(desc: DescMessage | undefined): boolean {
  return desc?.typeName === "google.api.HttpBody";
}

/** Converts the body of a request to the proto JSON of an HttpBody. */
export function httpBodyJson(contentType: string | null, bytes: Uint8Array): JsonObject {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
  return { contentType: contentType ?? "", data };
}

/**
 * Returns the HttpBody of a reply, empty if it isn't set.
 *
 * @param field that holds the body. Undefined if the message itself is the body.
 */
export function httpBodyOf(
  message: Message,
  field: DescField | undefined,
): { contentType: string; data: Uint8Array } {
  const body = (field ? fieldOf(message, field) : message) as HttpBody | undefined;
  return { contentType: body?.contentType ?? "", data: body?.data ?? new Uint8Array() };
}

function fieldOf(message: Message, field: DescField): unknown {
  if (!isFieldSet(message, field)) return undefined;
  const values = message as unknown as Record<string, unknown>;
  return field.oneof
    ? (values[field.oneof.localName] as { readonly value: unknown }).value
    : values[field.localName];
}
