import type { Kysely } from "kysely";
import { hasManyWriters } from "../../db/core/lock.ts";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { DB, OutboxRow } from "../../db/core/schema.ts";
import type { Store } from "../../db/store.ts";
import { isWaiting, noLease } from "./lease.ts";
import type { OnSettle } from "./settle.ts";

export interface Claim {
  /** How long the claimed mails belong to this courier, in milliseconds. */
  readonly leaseMs: number;
  /** Maximum number of mails to claim. */
  readonly limit: number;
  /** Maximum number of expired mails to drop. Other writers wait while they are dropped. */
  readonly expiredLimit?: number;
  readonly leaseId: string;
  readonly onSettle?: OnSettle | undefined;
  /** Called after the commit with the expired mails that were dropped. */
  readonly onExpired?: (rows: OutboxRow[]) => void;
}

/** How many due rows one claim looks at or drops at most, however long the queue is (F20). */
const windowSize = 500;

/**
 * Claims due mails, longest waiting first. Other couriers can't claim them until `leaseMs` have passed; by then this
 * courier is considered dead. Expired mails found on the way are dropped.
 */
export async function claim(store: Store, now: number, wanted: Claim): Promise<OutboxRow[]> {
  const { limit, leaseId, leaseMs, expiredLimit = windowSize } = wanted;
  const { expired, claimed } = await store.write(async (trx) => {
    // A single writer needs no spare rows: no other courier holds a lock on any of them.
    const window = hasManyWriters(trx) ? windowSize : limit;
    const leaseMore = (from: typeof lease) =>
      from(trx, { now, window, limit: limit - claimed.length, leaseId, leaseUntil: now + leaseMs });
    const claimed: OutboxRow[] = [];
    claimed.push(...(await leaseMore(lease)));
    // The whole window was live, so there is nothing to drop.
    if (claimed.length === window) return { expired: [], claimed };
    const expired = await dropExpired(trx, { now, window: windowSize - claimed.length, limit: expiredLimit });
    for (const row of expired) await wanted.onSettle?.(trx, row);
    if (expired.length > 0 && claimed.length < limit) claimed.push(...(await leaseMore(lease)));
    // Live mails must not wait until a long backlog of expired ones has been dropped.
    const mayHideOthers = claimed.length === 0 || expired.length === expiredLimit;
    if (mayHideOthers && claimed.length < limit) claimed.push(...(await leaseMore(leaseNewest)));
    return { expired, claimed };
  });
  if (expired.length > 0) wanted.onExpired?.(expired);
  // RETURNING has no order of its own.
  return claimed.sort((a, b) => a.next_attempt_time - b.next_attempt_time);
}

const dropExpired = prepare((db, param: Param<DueParams>) =>
  db
    .updateTable("outbox")
    .set({ state: "dropped", reason: "expired", settle_time: param("now"), ...noLease })
    .where("mail_id", "in", due(db, param, "<="))
    .returningAll(),
);

const lease = prepare((db, param: Param<LeaseParams>) => leaseDue(db, param, "asc"));
const leaseNewest = prepare((db, param: Param<LeaseParams>) => leaseDue(db, param, "desc"));

interface DueParams {
  readonly now: number;
  /** How many due rows to look at. */
  readonly window: number;
  readonly limit: number;
}

interface LeaseParams extends DueParams {
  readonly leaseId: string;
  readonly leaseUntil: number;
}

function leaseDue(db: Kysely<DB>, param: Param<LeaseParams>, order: "asc" | "desc") {
  return db
    .updateTable("outbox")
    .set((eb) => ({
      lease_id: param("leaseId"),
      lease_until: param("leaseUntil"),
      attempts: eb("attempts", "+", 1),
    }))
    .where("mail_id", "in", due(db, param, ">", order))
    .returningAll();
}

/**
 * Selects the ids of due mails by their expiry relative to now: `<=` the expired ones, `>` the live ones. `asc` starts with
 * the longest waiting.
 *
 * The window bounds the work: without it the statement walks the whole queue to find one live mail behind many expired ones
 * (see docs/performance.md).
 */
function due(db: Kysely<DB>, param: Param<DueParams>, expiry: "<=" | ">", order: "asc" | "desc" = "asc") {
  const now = param("now");
  const window = db
    .selectFrom("outbox")
    .select(["mail_id", "next_attempt_time", "expire_time"])
    .where((eb) => isWaiting(eb, now))
    .where("next_attempt_time", "<=", now)
    .orderBy("next_attempt_time", order)
    .orderBy("mail_id", order)
    .limit(param("window"))
    .as("due");
  if (hasManyWriters(db)) {
    // SKIP LOCKED gives concurrent couriers different rows without waiting. A row may have been claimed since the window was
    // read, so check again under its lock.
    const rows = db
      .selectFrom("outbox")
      .innerJoin("users", "users.user_id", "outbox.user_id")
      .select("mail_id")
      .where("mail_id", "in", db.selectFrom(window).select("mail_id"))
      .where((eb) => isWaiting(eb, now))
      .where("expire_time", expiry, now)
      .orderBy("next_attempt_time", order)
      .orderBy("mail_id", order)
      .limit(param("limit"));
    // The users are joined only to be locked: `onSettle` changes data of theirs when a mail is dropped, and every transaction
    // that does so locks the user's row first. Users locked elsewhere are skipped, since waiting for one while holding others
    // could deadlock.
    return rows.forNoKeyUpdate(expiry === "<=" ? ["outbox", "users"] : ["outbox"]).skipLocked();
  }
  // The write lock of SQLite makes a second check pointless, and it would walk the whole queue.
  return db
    .selectFrom(window)
    .select("mail_id")
    .where("expire_time", expiry, now)
    .orderBy("next_attempt_time", order)
    .orderBy("mail_id", order)
    .limit(param("limit"));
}

/** When the next unclaimed mail is due, in milliseconds since the epoch; may be in the past. Undefined if there is none. */
export async function nextDueTime(db: Kysely<DB>, now: number): Promise<number | undefined> {
  const [row] = await selectNextDue(db, { now });
  return row?.next_attempt_time;
}

const selectNextDue = prepare((db, param: Param<{ now: number }>) =>
  db
    .selectFrom("outbox")
    .select("next_attempt_time")
    .where((eb) => isWaiting(eb, param("now")))
    .orderBy("next_attempt_time")
    .limit(1),
);
