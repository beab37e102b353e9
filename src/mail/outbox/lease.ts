import type { ExpressionBuilder, RawBuilder } from "kysely";
import type { DB } from "../../db/core/schema.ts";

/** Columns of a mail that no courier holds. */
export const noLease = { lease_id: null, lease_until: null };

/** Condition: queued, and not leased at `now` (milliseconds since the epoch). */
export function isWaiting(eb: ExpressionBuilder<DB, "outbox">, now: number | RawBuilder<number>) {
  return eb.and([
    eb("outbox.state", "=", "queued"),
    eb.or([eb("outbox.lease_until", "is", null), eb("outbox.lease_until", "<=", now)]),
  ]);
}
