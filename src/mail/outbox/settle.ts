import type { Transaction } from "kysely";
import { lockUser } from "../../db/core/lock.ts";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { DB, MailState, OutboxRow } from "../../db/core/schema.ts";
import type { Store } from "../../db/store.ts";
import { noLease } from "./lease.ts";

/**
 * Called in the transaction that records the outcome of a mail, with the row as it is afterwards: still `queued` if there
 * will be another attempt.
 */
export type OnSettle = (trx: Transaction<DB>, row: OutboxRow) => Promise<void>;

/** The result of an attempt. `drop`: the mail was not handed over. `reason` never contains the relay's own text. */
export type Outcome =
  | { readonly kind: "sent" }
  | { readonly kind: "reject"; readonly reason: string }
  | { readonly kind: "drop"; readonly reason: string }
  /** `isUnreached`: no relay took part, so trying again soon does no harm. */
  | { readonly kind: "retry"; readonly reason: string; readonly isUnreached?: boolean };

/** Delays before the second attempt, the third, and so on, in milliseconds. Later attempts wait `delayMax`. */
const retryDelays = [2_000, 5_000, 15_000, 30_000, 60_000, 120_000];
const delayMax = 240_000;

/** The same if no relay could be reached: waiting mails leave within 30 s after it returns (F12). */
const unreachedDelayMax = 25_000;

/** Adds up to a tenth, so that mails that failed together don't return together. */
const jitter = 0.1;

export interface Settled {
  /** Still `queued` if there will be another attempt. */
  readonly state: MailState;
  readonly reason: string | null;
}

/**
 * Records the outcome of a claimed mail. A `retry` queues it again, or fails it if its code expires before the next attempt.
 *
 * Locks the user first, because `onSettle` may change data of theirs.
 *
 * @returns undefined, without any change, if another courier has claimed the mail since.
 */
export async function settle(
  store: Store,
  now: number,
  row: OutboxRow,
  outcome: Outcome,
  onSettle?: OnSettle,
): Promise<Settled | undefined> {
  const change = changeOf(now, row, outcome);
  return store.write(async (trx) => {
    await lockUser(trx, row.user_id);
    const [updated] = await updateHeld(trx, { ...change, mailId: row.mail_id, leaseId: row.lease_id });
    if (!updated) return undefined;
    await onSettle?.(trx, updated);
    return { state: updated.state, reason: updated.reason };
  });
}

interface Change {
  readonly state: MailState;
  readonly reason: string | null;
  readonly settleTime: number | null;
  readonly nextAttemptTime: number;
}

const updateHeld = prepare((db, param: Param<Change & { mailId: string; leaseId: string | null }>) =>
  db
    .updateTable("outbox")
    .set({
      state: param("state"),
      reason: param("reason"),
      settle_time: param("settleTime"),
      next_attempt_time: param("nextAttemptTime"),
      ...noLease,
    })
    .where("mail_id", "=", param("mailId"))
    .where("lease_id", "=", param("leaseId"))
    .where("state", "=", "queued")
    .returningAll(),
);

/** Returns a claimed mail to the queue unchanged, for any courier to claim at once. */
export async function release(store: Store, { mail_id, lease_id }: OutboxRow): Promise<void> {
  await store.write((trx) =>
    trx
      .updateTable("outbox")
      .set(noLease)
      .where((eb) => eb.and({ mail_id, lease_id, state: "queued" }))
      .execute(),
  );
}

function changeOf(now: number, row: OutboxRow, outcome: Outcome): Change {
  const settledAs = (state: MailState, reason: string | null) => ({
    state,
    reason,
    settleTime: now,
    nextAttemptTime: row.next_attempt_time,
  });
  if (outcome.kind === "sent") return settledAs("sent", null);
  if (outcome.kind === "drop") return settledAs("dropped", outcome.reason);
  if (outcome.kind === "reject") return settledAs("failed", outcome.reason);
  const next = now + delayAfter(row.attempts, outcome.isUnreached ? unreachedDelayMax : delayMax);
  if (next >= row.expire_time) return settledAs("failed", outcome.reason);
  return { state: "queued", reason: outcome.reason, settleTime: null, nextAttemptTime: next };
}

function delayAfter(attempts: number, max: number): number {
  const delay = Math.min(retryDelays[attempts - 1] ?? max, max);
  return Math.round(delay * (1 + Math.random() * jitter));
}
