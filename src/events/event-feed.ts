import { type Kysely, sql } from "kysely";
import { hasManyWriters } from "../db/core/lock.ts";
import type { DB } from "../db/core/schema.ts";
import type { Store } from "../db/store.ts";
import type { Clock } from "../lib/clock.ts";
import { Refusal } from "../lib/refusal.ts";
import { createSharedController } from "../lib/shared-signal.ts";
import type { Event } from "./event.ts";

/** The ids of organizations, or all. */
export type Organizations = "all" | ReadonlySet<string>;

/** Streams events to watchers as they happen. */
export interface EventFeed {
  /**
   * Streams the events after a position, then new ones, each once and in order. The first item has no event and says where
   * the stream starts. The stream ends after `watchMsMax` or when the feed is closed: continue from the last position.
   *
   * @throws INVALID_ARGUMENT (a position beyond the last event), RESOURCE_EXHAUSTED (too many watchers).
   */
  watch(options: WatchOptions): AsyncGenerator<Watched>;
  /** Ends all streams. */
  close(): void;
}

export interface WatchOptions {
  readonly organizations: Organizations;
  /** A position. Undefined: start now. */
  readonly after: number | undefined;
  readonly signal: AbortSignal;
}

export interface Watched {
  /** The stream can be continued from here. */
  readonly position: number;
  /** Undefined: a heartbeat, sent at the start and when idle. */
  readonly event: Event | undefined;
}

/** The maximum delay of events that another process wrote. */
const pollMs = 1_000;

/** The interval of heartbeats, which keep proxies from closing an idle stream and its position close to the end. */
const idleMs = 30_000;

/** A watcher has to present its token again after this long. */
const watchMsMax = 900_000;

const watchersMax = 100;

/** How many events a query reads, before filtering by organization: this bounds queries for organizations with few events. */
const windowSize = 200;

/** Creates a feed that reads the audit log after each commit of this process, and polls it for commits of others. */
export function createEventFeed(store: Store, clock: Clock): EventFeed {
  const closing = createSharedController();
  /** The start time of each open stream. */
  const startTimes: number[] = [];

  async function* watch({ organizations, after, signal }: WatchOptions): AsyncGenerator<Watched> {
    const startTime = clock.now();
    const end = await lastPosition(store);
    if (after !== undefined && after > end) throw beyondLastEvent();
    let position = after ?? end;
    yield { position, event: undefined };

    let lastYieldTime = clock.now();
    for (const wakeUp of wakeUps([signal, closing.signal])) {
      const events = await readWindow(store, position);
      for (const event of events) {
        position = event.position;
        if (organizations !== "all" && !organizations.has(event.org_id)) continue;
        yield { position, event };
        lastYieldTime = clock.now();
      }
      const now = clock.now();
      if (now - startTime >= watchMsMax) return;
      if (now - lastYieldTime >= idleMs) {
        yield { position, event: undefined };
        lastYieldTime = now;
      }
      if (events.length < windowSize) await clock.wait(pollMs, wakeUp);
    }
  }

  /** Yields a signal that aborts on the next commit, made before the events are read, so that no commit is missed. */
  function* wakeUps(ends: readonly AbortSignal[]): Generator<AbortSignal> {
    let controller = new AbortController();
    const wake = () => controller.abort();
    const stopListening = store.onCommit(wake);
    for (const end of ends) end.addEventListener("abort", wake);
    try {
      while (!ends.some((end) => end.aborted)) {
        controller = new AbortController();
        yield controller.signal;
      }
    } finally {
      stopListening();
      for (const end of ends) end.removeEventListener("abort", wake);
    }
  }

  return {
    async *watch(options) {
      const now = clock.now();
      // By then the oldest stream has ended.
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

/** With many writers, lower positions can be committed later: leaves out transactions that may still be running. */
function settledEvents(db: Kysely<DB>) {
  const oldestRunning = sql<boolean>`xid < pg_snapshot_xmin(pg_current_snapshot())`;
  return db.selectFrom("events").$if(hasManyWriters(db), (events) => events.where(oldestRunning));
}

function beyondLastEvent() {
  return new Refusal(
    "REQUEST_INVALID",
    "after_position is beyond the last event: use one that this service returned, or omit it to start now",
    { field: "after_position" },
  );
}

function tooManyWatchers(waitMs: number) {
  return new Refusal("WATCHERS_EXHAUSTED", "too many watchers at this process: try again later", {
    retryAfterMs: waitMs,
  });
}
