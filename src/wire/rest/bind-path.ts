import { create, type Message } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import type { Codec } from "../call/codec.ts";
import { malformed } from "../call/wire-error.ts";
import type { FieldPath } from "./params.ts";
import { protoPath } from "./params.ts";
import { bindRequest, type RestMatch } from "./rest.ts";

/**
 * Wraps a codec for a body of an RPC protocol on a REST path: the body is the message, and the path variables are bound
 * into it.
 *
 * A message that contradicts the path is rejected, so that the call that was authorized by its path is the call that is
 * made (CVE-2026-124278).
 */
export function bindPath(codec: Codec, match: RestMatch, query: string): Codec {
  return {
    ...codec,
    async decode(header, body) {
      if (query !== "")
        throw malformed("this method takes no query parameters with such a body: leave them out");
      const message = await codec.decode(header, body);
      const { method, variables } = match.route;
      const fromPath = reflect(method.input, bindRequest(match, "", null, new Uint8Array()));
      const fromBody = reflect(method.input, message);
      for (const path of variables) bindField(fromBody, fromPath, path);
      return fromBody.message as Message;
    },
  };
}

function bindField(fromBody: ReflectMessage, fromPath: ReflectMessage, path: FieldPath): void {
  const field = path.at(-1);
  if (!field) return;
  const from = openParent(fromPath, path);
  const to = openParent(fromBody, path);
  if (to.isSet(field) && to.get(field) !== from.get(field)) {
    throw malformed(
      `${protoPath(path)} is bound by the path: leave it out of the message, or set the same value`,
      protoPath(path),
    );
  }
  to.set(field, from.get(field));
}

/** Returns the message that holds the last field of the path. Creates missing messages on the way. */
function openParent(message: ReflectMessage, path: FieldPath): ReflectMessage {
  let parent = message;
  for (const field of path.slice(0, -1)) {
    if (field.fieldKind !== "message") throw new Error(`${protoPath(path)} leads through a value`);
    if (!parent.isSet(field)) parent.set(field, reflect(field.message, create(field.message)));
    parent = parent.get(field);
  }
  return parent;
}
