import { createHash } from "node:crypto";
import type { Transaction } from "kysely";
import type { DB, OTPEmailRow } from "../db/schema.ts";
import type { Policy } from "./policy.ts";

type Budget = Pick<OTPEmailRow, "user_id" | "address_canonical" | "attempts" | "lock_count" | "locked_until">;

/**
 * Keeps the wrong attempts of an authenticator that is removed: to remove an address and add it again must not bring new
 * ones. The last attempt of a budget locks, and with a lock that was served the next budget is full.
 */
export async function keepAttempts(trx: Transaction<DB>, policy: Policy, removed: Budget): Promise<void> {
  const { user_id, address_canonical, lock_count, locked_until } = removed;
  if (removed.attempts === 0 && lock_count === 0) return;
  const attempts = removed.attempts >= policy.enrolment.attemptsMax ? 0 : removed.attempts;
  await trx
    .insertInto("spent_attempts")
    .values({ user_id, address_hash: hashOf(user_id, address_canonical), attempts, lock_count, locked_until })
    .execute();
}

/** Forgets them, once the address is there again and goes on with them, or is vouched for. */
export async function forgetAttempts(trx: Transaction<DB>, userId: string, address: string): Promise<void> {
  await trx
    .deleteFrom("spent_attempts")
    .where("user_id", "=", userId)
    .where("address_hash", "=", hashOf(userId, address))
    .execute();
}

/** What stands for an address in `spent_attempts`. With the user in it, no two users' rows tell that they share one. */
export function hashOf(userId: string, canonicalAddress: string): Uint8Array {
  return createHash("sha256")
    .update(JSON.stringify([userId, canonicalAddress]))
    .digest();
}
