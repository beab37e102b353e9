import { type Param, prepare } from "../../db/core/prepared.ts";
import type { OTPEmailRow } from "../../db/core/schema.ts";
import { hourMs } from "../../lib/time.ts";
import { type AttemptPolicy, lockMs } from "../policy.ts";

/** The wrong codes of an authenticator since the last right one, over all its codes. Stored with the authenticator. */
export type Failures = Pick<OTPEmailRow, "failures" | "failure_times" | "lock_count" | "locked_until">;

/** The columns that a right code resets. */
export const clearedFailures = {
  attempts: 0,
  failures: 0,
  failure_times: "[]",
  lock_count: 0,
  locked_until: null,
} satisfies Failures & Pick<OTPEmailRow, "attempts">;

/**
 * Adds a wrong code, and a lock if a limit is reached.
 *
 * @param now milliseconds since the epoch.
 */
export function withFailure(attempts: AttemptPolicy, now: number, before: Failures): Failures {
  const failures = before.failures + 1;
  const times = [...lastHour(before, now), now].slice(-attempts.perHourMax);
  const counted = { failures, failure_times: JSON.stringify(times) };
  const lockForMs =
    failures >= attempts.inRowMax
      ? attempts.lockMsMax
      : times.length >= attempts.perHourMax
        ? lockMs(attempts, before.lock_count)
        : undefined;
  if (lockForMs === undefined)
    return { ...counted, lock_count: before.lock_count, locked_until: before.locked_until };
  return { ...counted, lock_count: before.lock_count + 1, locked_until: now + lockForMs };
}

/** Writes what `withFailure` returned. */
export const setFailures = prepare((db, param: Param<Failures & { otpEmailId: string }>) =>
  db
    .updateTable("otp_emails")
    .set({
      failures: param("failures"),
      failure_times: param("failure_times"),
      lock_count: param("lock_count"),
      locked_until: param("locked_until"),
    })
    .where("otp_email_id", "=", param("otpEmailId")),
);

/** Returns how many more wrong codes lock the authenticator. At least 1: while a limit is reached, each wrong code locks. */
export function failuresLeft(attempts: AttemptPolicy, now: number, row: Failures): number {
  const left = Math.min(attempts.perHourMax - lastHour(row, now).length, attempts.inRowMax - row.failures);
  return Math.max(1, left);
}

/** The times of the failures in the last hour, oldest first. */
function lastHour({ failure_times }: Failures, now: number): number[] {
  return (JSON.parse(failure_times) as number[]).filter((time) => time > now - hourMs);
}
