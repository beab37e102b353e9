import { type Param, prepare } from "../../db/core/prepared.ts";
import type { OTPEmailRow } from "../../db/core/schema.ts";
import { hourMs } from "../../lib/time.ts";
import { type AttemptPolicy, lockMs } from "../policy.ts";

/** What an authenticator remembers of wrong codes, over all its codes. */
export type Failures = Pick<OTPEmailRow, "failures" | "failure_times" | "lock_count" | "locked_until">;

/** What a right code sets back. */
export const clearedFailures = {
  attempts: 0,
  failures: 0,
  failure_times: "[]",
  lock_count: 0,
  locked_until: null,
} satisfies Failures & Pick<OTPEmailRow, "attempts">;

/** Counts an attempt as wrong, and locks the authenticator if a limit is reached. */
export function withFailure(attempts: AttemptPolicy, now: number, before: Failures): Failures {
  const failures = before.failures + 1;
  const times = [...failureTimes(before, now), now].slice(-attempts.perHourMax);
  const counted = { failures, failure_times: JSON.stringify(times) };
  const forMs =
    failures >= attempts.inRowMax
      ? attempts.lockMsMax
      : times.length >= attempts.perHourMax
        ? lockMs(attempts, before.lock_count)
        : undefined;
  if (forMs === undefined)
    return { ...counted, lock_count: before.lock_count, locked_until: before.locked_until };
  return { ...counted, lock_count: before.lock_count + 1, locked_until: now + forMs };
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

/** How many more wrong codes lock the authenticator: at least 1, which each further one does while a limit is reached. */
export function failuresLeft(attempts: AttemptPolicy, now: number, row: Failures): number {
  const left = Math.min(
    attempts.perHourMax - failureTimes(row, now).length,
    attempts.inRowMax - row.failures,
  );
  return Math.max(1, left);
}

/** Those of the last hour. */
function failureTimes({ failure_times }: Failures, now: number): number[] {
  return (JSON.parse(failure_times) as number[]).filter((time) => time > now - hourMs);
}
