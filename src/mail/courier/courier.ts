import { setMaxListeners } from "node:events";
import { makeRandomId } from "../../db/core/id.ts";
import type { MailState, OutboxRow } from "../../db/core/schema.ts";
import { isStorageUnavailable } from "../../db/storage-errors.ts";
import type { Store } from "../../db/store.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Mailer, OutgoingMail } from "../mailer.ts";
import { claim, nextDueTime } from "../outbox/claim.ts";
import { type OnSettle, type Outcome, release, settle } from "../outbox/settle.ts";
import { createBatcher } from "./batch.ts";
import { createSendWindow, isOverload, isThrottled, isUnreached } from "./send-window.ts";

/** A mail ready to go, or why it must not go any more. */
export type Composed =
  | { readonly kind: "mail"; readonly mail: OutgoingMail }
  | { readonly kind: "drop"; readonly reason: string };

/** Hands the mails of the outbox over, from its start until it is disposed. */
export interface Courier extends AsyncDisposable {
  /** Looks for due mails now. To be called after a commit that queued one. */
  wake(): void;
}

/** What is told and logged about each attempt. No address, no code. */
export interface SettledMail {
  readonly mailId: string;
  readonly purpose: string;
  /** `queued`: there will be another attempt. */
  readonly state: MailState;
  readonly attempts: number;
  readonly reason: string | null;
  readonly durationMs: number;
}

/** The part of pino that is used here. */
export interface CourierLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface CourierOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly mailer: Mailer;
  /** Makes the mail of a row, at the moment it is handed over. Called again for each attempt. */
  readonly compose: (row: OutboxRow) => Promise<Composed>;
  readonly log: CourierLog;
  /** Writes what else there is to write where a mail is settled, in the transaction that settles it. */
  readonly onSettle?: OnSettle;
  /** Told after the commit. */
  readonly onSettled?: (mail: SettledMail) => void;
  /** How many mails are under way at a time at most. */
  readonly concurrencyMax?: number;
}

/** Longer than the mailer works on one mail, so that only the mails of a dead courier are taken over. */
const leaseMs = 100_000;

/** How long a mail that another process has queued, or left behind, may go unseen. */
const pollMs = 5_000;

/**
 * How long no mail is begun when a relay says that it is too much. Each attempt moves a mail on in its plan: where a relay takes
 * one mail a second, of 20 that were tried one right after the other 12 left within two minutes. If an organization has providers
 * of its own, this is heard of the usual ones, which come last.
 */
const throttledMs = 1_000;

/** How long mails under way have to finish when the courier is disposed. */
const graceMs = 10_000;

/** Starts a courier. Several may work on one database, in one process or in many. */
export function startCourier(options: CourierOptions): Courier {
  const { store, clock, mailer, compose, log, onSettle, onSettled, concurrencyMax = 20 } = options;
  const window = createSendWindow(concurrencyMax);
  const stopping = new AbortController();
  const aborting = new AbortController();
  // Every mail under way listens to it. Node takes more than 10 listeners for a leak.
  setMaxListeners(0, aborting.signal);
  /** Claimed and not settled. */
  const underWay = new Map<OutboxRow, Promise<void>>();
  /** How many of them a relay has not answered yet. */
  let beingSent = 0;
  const batcher = createBatcher(() => Math.min(underWay.size, window.size / 2));
  /** As far as the last claim has shown. */
  let isMoreDue = false;
  let restsUntil = 0;
  let alarm = new AbortController();
  // With a reason of its own: to make the usual one, with its stack, costs more than all the rest of it.
  const wake = () => alarm.abort("woken");

  async function run(): Promise<void> {
    let failures = 0;
    while (!stopping.signal.aborted) {
      // Made before the outbox is looked at: whoever wakes us meanwhile is not overheard.
      alarm = new AbortController();
      try {
        await takeDue(alarm.signal);
        failures = 0;
      } catch (error) {
        log.error(describe(error), "the outbox cannot be reached");
        await clock.wait(backoffMs(failures++), stopping.signal);
      }
    }
  }

  /** Starts what is due as far as there is room. If there is nothing to do, waits until there may be. */
  async function takeDue(woken: AbortSignal): Promise<void> {
    // What is recorded now makes room already: the next claim shares its commit. Not so what cannot be recorded for long.
    const room = Math.min(window.size - beingSent - batcher.waiting, 2 * window.size - underWay.size);
    if (room < 1 || isAnyLate()) return clock.wait(pollMs, woken);
    // A clock that was set back must not lengthen the rest.
    const restMs = restsUntil - clock.now();
    if (restMs > 0 && restMs <= throttledMs) return clock.wait(restMs, stopping.signal);
    if (!isMoreDue) {
      const due = await nextDueTime(store.db, clock.now());
      const waitMs = Math.min(pollMs, (due ?? Infinity) - clock.now());
      if (waitMs > 0) return clock.wait(waitMs, woken);
    }
    const now = clock.now();
    const onExpired = (rows: OutboxRow[]) => {
      for (const row of rows) report(row, "dropped", "expired", now);
    };
    const rows = await claim(store, now, {
      leaseMs,
      limit: room,
      // Each step of a mail that is being sent waits for the end of the drop.
      ...(beingSent > 0 && { expiredLimit: 100 }),
      leaseId: makeRandomId(),
      onSettle,
      onExpired,
    });
    isMoreDue = rows.length === room;
    for (const row of rows) start(row);
  }

  /** Whether a lease is over while its mail is under way, as after the process was suspended: a claim would take it once more. */
  function isAnyLate(): boolean {
    const now = clock.now();
    return [...underWay.keys()].some((row) => now >= (row.lease_until ?? 0));
  }

  function start(row: OutboxRow): void {
    const task = deliver(row)
      .catch((error: unknown) => {
        // The row is left alone: when its lease is over, it is taken again.
        log.error({ mailId: row.mail_id, ...describe(error) }, "a mail was left behind");
      })
      .finally(() => {
        underWay.delete(row);
        wake();
      });
    underWay.set(row, task);
  }

  async function deliver(row: OutboxRow): Promise<void> {
    const startTime = clock.now();
    beingSent++;
    const outcome = await handOver(row).finally(() => beingSent--);
    if (aborting.signal.aborted && outcome.kind === "retry") return release(store, row);
    await batcher.next();
    // The next claim shares the commit of what is recorded.
    wake();
    const settled = await record(row, outcome);
    if (settled) return report(row, settled.state, settled.reason, startTime);
    log.warn(
      { mailId: row.mail_id, outcome: outcome.kind },
      "a mail was taken over or removed while it was under way",
    );
  }

  async function handOver(row: OutboxRow): Promise<Outcome> {
    let composed: Composed;
    try {
      composed = await compose(row);
    } catch (error) {
      return composeFailure(row, error);
    }
    if (composed.kind === "drop") return composed;
    const now = clock.now();
    if (now >= row.expire_time) return { kind: "drop", reason: "expired" };
    // The process was suspended in between, say: another courier may have the mail by now.
    if (now >= (row.lease_until ?? 0)) return { kind: "retry", reason: "lease" };
    const ended = window.begin();
    const result = await mailer.send(composed.mail, aborting.signal);
    // That a mail is refused for good takes nothing away: the relay has looked at it.
    if (result.kind !== "retry") ended("taken");
    else if (isOverload(result.reason)) ended("overloaded");
    if (result.kind !== "retry") return result;
    if (isThrottled(result.reason)) restsUntil = clock.now() + throttledMs;
    // What may have arrived keeps to the plan: each attempt at it may be another copy.
    return { ...result, isUnreached: !result.mayHaveArrived && isUnreached(result.reason) };
  }

  /** A mail that cannot be made has failed, for operators to see and retry (F19). The text of the error may quote anything. */
  function composeFailure(row: OutboxRow, error: unknown): Outcome {
    log.error({ mailId: row.mail_id, error: nameOf(error) }, "a mail cannot be composed");
    return isStorageUnavailable(error)
      ? { kind: "retry", reason: "storage" }
      : { kind: "reject", reason: "compose" };
  }

  /** Tries for as long as the lease holds: a mail that was sent and is not recorded as such is sent again. */
  async function record(row: OutboxRow, outcome: Outcome) {
    for (let failures = 0; ; failures++) {
      try {
        return await settle(store, clock.now(), row, outcome, onSettle);
      } catch (error) {
        if (stopping.signal.aborted || clock.now() >= (row.lease_until ?? 0)) throw error;
        log.error({ mailId: row.mail_id, ...describe(error) }, "an outcome cannot be recorded yet");
        await clock.wait(backoffMs(failures), stopping.signal);
      }
    }
  }

  function report(row: OutboxRow, state: MailState, reason: string | null, startTime: number): void {
    const { mail_id: mailId, purpose, attempts } = row;
    const settled = { mailId, purpose, state, attempts, reason, durationMs: clock.now() - startTime };
    // Somebody sits on the wire, or whoever runs the relay has to mend it: until then all mails wait (F18).
    if (reason === "tls") log.error(settled, "no safe connection to the relay");
    else if (state === "sent" || state === "dropped") log.info(settled, "mail");
    else log.warn(settled, "mail");
    onSettled?.(settled);
  }

  const running = run();
  return {
    wake,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      wake();
      await running;
      const finished = new AbortController();
      const finishing = Promise.all(underWay.values()).then(() => finished.abort());
      await clock.wait(graceMs, finished.signal);
      aborting.abort();
      await finishing;
    },
  };
}

/** 1 s, doubled with each failure in a row, up to 30 s. */
function backoffMs(failures: number): number {
  return Math.min(1_000 * 2 ** failures, 30_000);
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}

function describe(error: unknown): { error: string; code?: unknown } {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return { error: nameOf(error), code };
}
