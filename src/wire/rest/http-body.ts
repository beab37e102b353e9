import {
  type DescField,
  type DescMessage,
  isFieldSet,
  type JsonObject,
  type Message,
} from "@bufbuild/protobuf";

/**
 * A body as it is (google/api/httpbody.proto). Its `extensions` are metadata for gRPC: there is no place for them in
 * HTTP, and so they are neither read nor sent.
 */
type HttpBody = Message<"google.api.HttpBody"> & {
  readonly contentType: string;
  readonly data: Uint8Array;
};

export function isHttpBody(desc: DescMessage | undefined): boolean {
  return desc?.typeName === "google.api.HttpBody";
}

/** The proto JSON of the body of a request. */
export function httpBodyJson(contentType: string | null, bytes: Uint8Array): JsonObject {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
  return { contentType: contentType ?? "", data };
}

/**
 * The body of a reply; empty if it is not set.
 *
 * @param field of the message, if not the message itself is the body.
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
  // Of a oneof there is only the one that is set.
  return field.oneof
    ? (values[field.oneof.localName] as { readonly value: unknown }).value
    : values[field.localName];
}
