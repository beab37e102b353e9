import { type Kysely, sql } from "kysely";
import { hasManyWriters } from "../db/core/lock.ts";
import type { DB } from "../db/core/schema.ts";
import type { Store } from "../db/store.ts";
import type { Clock } from "../lib/clock.ts";
import { Refusal } from "../lib/refusal.ts";
import { createSharedController } from "../lib/shared-signal.ts";
import type { Event } from "./event.ts";

/** Organizations by their ids, or all. */
export type Organizations = "all" | ReadonlySet<string>;

/** Tells watchers of events as they happen. */
export interface EventFeed {
  /**
   * The events behind a position, and then those to come, each once and in their order. It begins with where it stands,
   * and ends by itself after a while, or when the feed is closed: to be gone on with from the last position.
   *
   * @throws INVALID_ARGUMENT (the trail does not go as far), RESOURCE_EXHAUSTED (too many watch).
   */
  watch(options: WatchOptions): AsyncGenerator<Watched>;
  /** Ends all watching. */
  close(): void;
}

export interface WatchOptions {
  /** Whose events. */
  readonly organizations: Organizations;
  /** Undefined: from now on. */
  readonly after: number | undefined;
  readonly signal: AbortSignal;
}

export interface Watched {
  /** Everything up to here was told. */
  readonly position: number;
  /** Undefined: nothing happened for a while. */
  readonly event: Event | undefined;
}

/** How long an event that another process wrote may go unseen. */
const pollMs = 1_000;

/** Told without an event this often, so that proxies keep the connection and the position stays near the end. */
const idleMs = 30_000;

/** Whoever watches shows its token again after this long. */
const watchMsMax = 900_000;

const watchersMax = 100;

/** How many events are read in one go. Those of other organizations count too: no read is longer for a rare one. */
const windowSize = 200;

/**
 * A feed that reads the trail after each commit of this process, and now and then for those of others.
 *
 * Nothing is ever added before a position that was read.
 */
export function createEventFeed(store: Store, clock: Clock): EventFeed {
  const closing = createSharedController();
  /** When each of those that watch began. */
  const startTimes: number[] = [];

  async function* watch({ organizations, after, signal }: WatchOptions): AsyncGenerator<Watched> {
    const startTime = clock.now();
    const end = await lastPosition(store);
    if (after !== undefined && after > end) throw aheadOfTrail();
    let position = after ?? end;
    yield { position, event: undefined };

    let toldTime = clock.now();
    for (const alarm of alarms([signal, closing.signal])) {
      const events = await readWindow(store, position);
      for (const event of events) {
        position = event.position;
        if (organizations !== "all" && !organizations.has(event.org_id)) continue;
        yield { position, event };
        toldTime = clock.now();
      }
      const now = clock.now();
      if (now - startTime >= watchMsMax) return;
      if (now - toldTime >= idleMs) {
        yield { position, event: undefined };
        toldTime = now;
      }
      if (events.length < windowSize) await clock.wait(pollMs, alarm);
    }
  }

  /** For each round a signal that aborts with the next commit, made before the trail is read: none is overheard. */
  function* alarms(ends: readonly AbortSignal[]): Generator<AbortSignal> {
    let alarm = new AbortController();
    const ring = () => alarm.abort();
    const stopListening = store.onCommit(ring);
    for (const end of ends) end.addEventListener("abort", ring);
    try {
      while (!ends.some((end) => end.aborted)) {
        alarm = new AbortController();
        yield alarm.signal;
      }
    } finally {
      stopListening();
      for (const end of ends) end.removeEventListener("abort", ring);
    }
  }

  return {
    async *watch(options) {
      const now = clock.now();
      // By then the first of them has ended by itself.
      if (startTimes.length >= watchersMax)
        throw tooManyWatchers(Math.min(...startTimes) + watchMsMax + pollMs - now);
      startTimes.push(now);
      try {
        yield* watch(options);
      } finally {
        startTimes.splice(startTimes.indexOf(now), 1);
      }
    },
    close: () => closing.abort(),
  };
}

async function lastPosition({ db }: Store): Promise<number> {
  const row = await settledEvents(db)
    .select("position")
    .orderBy("position", "desc")
    .limit(1)
    .executeTakeFirst();
  return row?.position ?? 0;
}

function readWindow({ db }: Store, after: number): Promise<Event[]> {
  return settledEvents(db)
    .selectAll()
    .where("position", ">", after)
    .orderBy("position")
    .limit(windowSize)
    .execute();
}

/**
 * The events before which nothing is added any more. Where several transactions write at a time: those of transactions older
 * than all that still run. A position is given only when its transaction has its number, so that none is overlooked
 * (`appendEvent` changes the user first).
 */
function settledEvents(db: Kysely<DB>) {
  const oldestRunning = sql<boolean>`xid < pg_snapshot_xmin(pg_current_snapshot())`;
  return db.selectFrom("events").$if(hasManyWriters(db), (events) => events.where(oldestRunning));
}

function aheadOfTrail() {
  return new Refusal(
    "REQUEST_INVALID",
    "after_position is ahead of the trail: give one that this service told, or leave it out to begin now",
    { field: "after_position" },
  );
}

function tooManyWatchers(waitMs: number) {
  return new Refusal("WATCHERS_EXHAUSTED", "too many watch at this process: try again", {
    retryAfterMs: waitMs,
  });
}
