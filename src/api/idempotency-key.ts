import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { IdempotencyKey } from "../db/core/idempotency.ts";
import { Refusal } from "../lib/refusal.ts";
import { digestsOf } from "../otp/codes/keyed-digest.ts";
import type { KeyRing } from "../otp/codes/keys.ts";
import { principalOf } from "./call-context.ts";

const header = "Idempotency-Key";

/**
 * Reads the `Idempotency-Key` header or metadata (draft-ietf-httpapi-idempotency-key-header-07). Keys are separate for
 * each principal, and requests are compared by method and message, independent of the protocol.
 *
 * @returns undefined if there is none.
 * @throws Refusal IDEMPOTENCY_KEY_INVALID
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
      "Idempotency-Key must be given once and have 1 to 255 visible ASCII characters: a UUID, for example",
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
