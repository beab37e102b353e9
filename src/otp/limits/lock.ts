import { type Expression, expressionBuilder, type Kysely } from "kysely";
import type { DB } from "../../db/core/schema.ts";
import type { OTPContext } from "../context.ts";
import { attemptsExhausted } from "../refusals.ts";
import { type MailRequest, mailWaitMs } from "./mail-limits.ts";

interface Lockable {
  /** Milliseconds since the epoch. Null: never locked. */
  readonly locked_until: number | null;
}

/**
 * Refuses a call while the authenticator is locked.
 *
 * @param mail the mail that a new code comes by, or undefined if it is returned. The wait in the refusal covers the mail limits
 *   too, so that a new code can be requested after it.
 * @throws RESOURCE_EXHAUSTED (ATTEMPTS_EXHAUSTED).
 */
export async function refuseLocked(
  db: Kysely<DB>,
  context: OTPContext,
  row: Lockable,
  mail: MailRequest | undefined,
): Promise<void> {
  const lockMs = lockLeftMs(row, context.clock.now());
  if (lockMs === 0) return;
  throw attemptsExhausted(Math.max(lockMs, mail ? await mailWaitMs(db, context, mail) : 0));
}

/** Returns the time until the lock ends in milliseconds, 0 if the authenticator isn't locked. */
export function lockLeftMs({ locked_until: lockedUntil }: Lockable, now: number): number {
  return lockedUntil === null ? 0 : Math.max(0, lockedUntil - now);
}

/** The condition that an authenticator isn't locked, for a statement on `otp_emails`. */
export function isUnlocked(now: Expression<number>) {
  const eb = expressionBuilder<DB, "otp_emails">();
  return eb.or([eb("locked_until", "is", null), eb("locked_until", "<=", now)]);
}
