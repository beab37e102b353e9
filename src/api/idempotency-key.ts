import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { IdempotencyKey } from "../db/core/idempotency.ts";
import { Refusal } from "../lib/refusal.ts";
import { digestsOf } from "../otp/codes/keyed-digest.ts";
import type { KeyRing } from "../otp/codes/keys.ts";
import { principalOf } from "./call-context.ts";

const header = "Idempotency-Key";

/**
 * The key of a call that may be sent again, of its header or metadata (draft-ietf-httpapi-idempotency-key-header-07). It
 * is the principal's own. What the call asks for is its method and message, whichever protocol spells them.
 *
 * @returns undefined if the caller gave none.
 * @throws INVALID_ARGUMENT
 */
export function idempotencyKeyOf<D extends DescMessage>(
  keys: KeyRing,
  context: HandlerContext,
  schema: D,
  message: MessageShape<D>,
): IdempotencyKey | undefined {
  const key = context.requestHeader.get(header);
  if (key === null) return undefined;
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw new Refusal(
      "IDEMPOTENCY_KEY_INVALID",
      "Idempotency-Key must be 1 to 255 visible ASCII characters, such as a UUID, once",
      { field: header },
    );
  }
  const { issuer, subject } = principalOf(context);
  const bytes = toBinary(schema, message, { writeUnknownFields: false });
  return {
    digests: digestsOf(keys, "idempotency_key", issuer, subject, key),
    requestDigests: digestsOf(keys, "request", context.method.name, bytes),
  };
}
