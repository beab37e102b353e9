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

/** A mail that is ready to send, or the reason to drop it. */
export type Composed =
  | { readonly kind: "mail"; readonly mail: OutgoingMail }
  | { readonly kind: "drop"; readonly reason: string };

/** Sends the mails of the outbox until it is disposed. */
export interface Courier extends AsyncDisposable {
  /** Looks for due mails now. Call it after a commit that queued one. */
  wake(): void;
}

/** What is reported and logged about each attempt. Contains no address and no code. */
export interface SettledMail {
  readonly mailId: string;
  readonly purpose: string;
  /** `queued`: there will be another attempt. */
  readonly state: MailState;
  readonly attempts: number;
  readonly reason: string | null;
  readonly durationMs: number;
}

/** The subset of pino's interface that is used here. */
export interface CourierLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface CourierOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly mailer: Mailer;
  /** Renders the mail of a row, right before it is sent. Called for each attempt. */
  readonly compose: (row: OutboxRow) => Promise<Composed>;
  readonly log: CourierLog;
  /** Called in the transaction that records the outcome of an attempt. */
  readonly onSettle?: OnSettle;
  /** Called after the commit. */
  readonly onSettled?: (mail: SettledMail) => void;
  /** Maximum number of concurrent mails. */
  readonly concurrencyMax?: number;
}

/** Longer than the mailer's timeout, so that only mails of a dead courier are taken over. */
const leaseMs = 100_000;

/** Maximum delay until a mail is found that another process queued or left behind. */
const pollMs = 5_000;

/**
 * Pause after a relay throttles a mail. Without it, mails use up the early attempts of their schedule (see
 * docs/performance.md). For an organization with its own providers, the result is that of the default sender, which is tried
 * last.
 */
const throttleMs = 1_000;

/** Time for mails under way to finish when the courier is disposed. */
const graceMs = 10_000;

/** Starts a courier. Several can share a database, in one or more processes. */
export function startCourier(options: CourierOptions): Courier {
  const { store, clock, mailer, compose, log, onSettle, onSettled, concurrencyMax = 20 } = options;
  const window = createSendWindow(concurrencyMax);
  const stopping = new AbortController();
  const aborting = new AbortController();
  // Each mail under way adds a listener. Node warns of a leak above 10.
  setMaxListeners(0, aborting.signal);
  /** Claimed mails that are not settled. */
  const underWay = new Map<OutboxRow, Promise<void>>();
  /** How many of them are still being sent. */
  let beingSent = 0;
  const batcher = createBatcher(() => Math.min(underWay.size, window.size / 2));
  /** Whether the last claim was full, so that more mails may be due. */
  let isMoreDue = false;
  let restsUntil = 0;
  let alarm = new AbortController();
  // Without a reason, `abort` creates an error with a stack, which costs more than the rest of the call.
  const wake = () => alarm.abort("woken");

  async function run(): Promise<void> {
    let failures = 0;
    while (!stopping.signal.aborted) {
      // Renewed before looking at the outbox, so that a call to `wake` in the meantime is not lost.
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

  /** Starts due mails while there is room. Otherwise waits until there may be something to do. */
  async function takeDue(woken: AbortSignal): Promise<void> {
    // Mails that are only left to record don't count, so that the next claim shares their commit. The second limit is for
    // outcomes that can't be recorded.
    const room = Math.min(window.size - beingSent - batcher.waiting, 2 * window.size - underWay.size);
    if (room < 1 || isAnyLate()) return clock.wait(pollMs, woken);
    // A clock that is set back must not prolong the rest.
    const restMs = restsUntil - clock.now();
    if (restMs > 0 && restMs <= throttleMs) return clock.wait(restMs, stopping.signal);
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
      // The drop blocks the mails that are being sent.
      ...(beingSent > 0 && { expiredLimit: 100 }),
      leaseId: makeRandomId(),
      onSettle,
      onExpired,
    });
    isMoreDue = rows.length === room;
    for (const row of rows) start(row);
  }

  /**
   * Reports whether a mail under way has lost its lease, for example because the process was suspended. A claim would return
   * it a second time.
   */
  function isAnyLate(): boolean {
    const now = clock.now();
    return [...underWay.keys()].some((row) => now >= (row.lease_until ?? 0));
  }

  function start(row: OutboxRow): void {
    const task = deliver(row)
      .catch((error: unknown) => {
        // Don't touch the row: it is claimed again when its lease ends.
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
    // The next claim shares the commit with the outcomes.
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
    // Another courier may have the mail by now, for example if this process was suspended.
    if (now >= (row.lease_until ?? 0)) return { kind: "retry", reason: "lease" };
    const ended = window.begin();
    const result = await mailer.send(composed.mail, aborting.signal);
    // A permanent rejection counts as taken: the relay has processed the mail.
    if (result.kind !== "retry") ended("taken");
    else if (isOverload(result.reason)) ended("overloaded");
    if (result.kind !== "retry") return result;
    if (isThrottled(result.reason)) restsUntil = clock.now() + throttleMs;
    // A mail that may have arrived is not retried early, because each attempt may deliver another copy.
    return { ...result, isUnreached: !result.mayHaveArrived && isUnreached(result.reason) };
  }

  /**
   * Fails a mail that can't be composed, for operators to inspect and retry (F19). Only the name of the error is logged, since
   * its message may quote anything.
   */
  function composeFailure(row: OutboxRow, error: unknown): Outcome {
    log.error({ mailId: row.mail_id, error: nameOf(error) }, "a mail cannot be composed");
    return isStorageUnavailable(error)
      ? { kind: "retry", reason: "storage" }
      : { kind: "reject", reason: "compose" };
  }

  /** Retries until the lease ends, because a mail whose outcome isn't recorded is sent again. */
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
    // All mails wait until the relay is fixed, or an attack on the connection ends (F18).
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
