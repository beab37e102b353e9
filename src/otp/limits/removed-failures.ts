import type { Transaction } from "kysely";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { DB, OTPEmailRow } from "../../db/core/schema.ts";
import { dayMs } from "../../lib/time.ts";
import { digestsOf } from "../codes/keyed-digest.ts";
import type { OTPContext } from "../context.ts";
import type { Failures } from "./failures.ts";

/** What identifies an authenticator after it was removed. */
export interface OTPEmailIdentity {
  readonly orgId: string;
  readonly userId: string;
  readonly canonicalAddress: string;
}

/** How long failures are kept after the removal, or after the end of the lock. */
const rememberedMs = dayMs;

/** Keeps the failures of a removed authenticator: removing it and adding it again must not reset its attempts. */
export async function rememberFailures(
  trx: Transaction<DB>,
  context: OTPContext,
  orgId: string,
  row: OTPEmailRow,
): Promise<void> {
  if (row.failures === 0) return;
  const identity = { orgId, userId: row.user_id, canonicalAddress: row.address_canonical };
  const { failures, failure_times, lock_count, locked_until } = row;
  await forgetFailures(trx, context, identity);
  await trx
    .insertInto("removed_otp_emails")
    .values({
      digest: identityDigests(context, identity)[0],
      failures,
      failure_times,
      lock_count,
      locked_until,
      expire_time: Math.max(context.clock.now(), locked_until ?? 0) + rememberedMs,
    })
    .execute();
}

/** Returns the failures that `rememberFailures` kept, or undefined if there are none. */
export async function recallFailures(
  trx: Transaction<DB>,
  context: OTPContext,
  identity: OTPEmailIdentity,
): Promise<Failures | undefined> {
  const now = context.clock.now();
  // One query per key. Usually there is one key.
  for (const digest of identityDigests(context, identity)) {
    const [failures] = await selectFailures(trx, { digest, now });
    if (failures) return failures;
  }
  return undefined;
}

const selectFailures = prepare((db, param: Param<{ digest: string; now: number }>) =>
  db
    .selectFrom("removed_otp_emails")
    .select(["failures", "failure_times", "lock_count", "locked_until"])
    .where("digest", "=", param("digest"))
    .where("expire_time", ">", param("now")),
);

export async function forgetFailures(
  trx: Transaction<DB>,
  context: OTPContext,
  identity: OTPEmailIdentity,
): Promise<void> {
  await trx
    .deleteFrom("removed_otp_emails")
    .where("digest", "in", identityDigests(context, identity))
    .execute();
}

function identityDigests({ keys }: OTPContext, { orgId, userId, canonicalAddress }: OTPEmailIdentity) {
  return digestsOf(keys, "otp_email", orgId, userId, canonicalAddress);
}
