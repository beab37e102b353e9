import { create, type Message } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import type { Codec } from "../call/unary.ts";
import { malformed } from "../call/wire-error.ts";
import type { FieldPath } from "./params.ts";
import { protoPath } from "./params.ts";
import { bindRequest, type RestMatch } from "./rest.ts";

/**
 * An RPC protocol on a REST path: the body is the message, and the variables of the path are bound into it.
 *
 * What is authorized must be what is called (CVE-2026-124278), so a message that says something else than the path is
 * refused.
 */
export function bindPath(codec: Codec, match: RestMatch, query: string): Codec {
  return {
    ...codec,
    async decode(header, body) {
      if (query !== "")
        throw malformed("this method takes no query parameters with such a body: leave them out");
      const message = await codec.decode(header, body);
      const { method, variables } = match.route;
      const ofPath = reflect(method.input, bindRequest(match, "", null, new Uint8Array()));
      const ofBody = reflect(method.input, message);
      for (const path of variables) bindField(ofBody, ofPath, path);
      return ofBody.message as Message;
    },
  };
}

function bindField(ofBody: ReflectMessage, ofPath: ReflectMessage, path: FieldPath): void {
  const field = path.at(-1);
  if (!field) return;
  const from = openParent(ofPath, path);
  const to = openParent(ofBody, path);
  if (to.isSet(field) && to.get(field) !== from.get(field)) {
    throw malformed(
      `${protoPath(path)} is bound by the path: leave it out of the message, or say the same`,
      protoPath(path),
    );
  }
  to.set(field, from.get(field));
}

/** The message that holds the last field of the path; what leads to it is made if it is not there. */
function openParent(message: ReflectMessage, path: FieldPath): ReflectMessage {
  let parent = message;
  for (const field of path.slice(0, -1)) {
    if (field.fieldKind !== "message") throw new Error(`${protoPath(path)} leads through a value`);
    if (!parent.isSet(field)) parent.set(field, reflect(field.message, create(field.message)));
    parent = parent.get(field);
  }
  return parent;
}
