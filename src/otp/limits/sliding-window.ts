import type { Kysely, Transaction } from "kysely";
import { lockNames } from "../../db/core/lock.ts";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { DB } from "../../db/core/schema.ts";

/** A limit on one kind of event, such as mails to one address. Each event is a hit. */
export interface RateLimit {
  /** Identify what is limited (see `digestsOf`). Hits are written under the first digest and read under all. */
  readonly digests: readonly [string, ...string[]];
  /** All of them apply. */
  readonly windows: readonly LimitWindow[];
  /**
   * Resolution in milliseconds. 1: each hit has its own row. Higher, for high limits: the hits of a slot share a row and leave
   * the window together with the latest time in the slot.
   */
  readonly slotMs: number;
}

/** At most `limit` hits in any `windowMs` milliseconds. */
export interface LimitWindow {
  readonly limit: number;
  readonly windowMs: number;
  /** Hits before this time do not count, in milliseconds since the epoch. */
  readonly since?: number | undefined;
}

/** The window with the longest wait, and that wait in milliseconds. */
export interface Wait {
  readonly window: LimitWindow;
  readonly ms: number;
}

/**
 * Consumes one hit of each rate limit, or none at all if any of them is reached. Exact under concurrency: the limits are read
 * and written under a lock.
 *
 * rate-limiter-flexible 11.4 can't do this: it counts one key at a time, in its own transaction and by its own clock, so that
 * a hit can't be rolled back with the outbox row, and its fixed windows let up to twice the limit through.
 *
 * @param now milliseconds since the epoch.
 * @returns undefined if the hits were consumed.
 */
export async function consume(
  trx: Transaction<DB>,
  now: number,
  rateLimits: readonly RateLimit[],
): Promise<Wait | undefined> {
  await lockNames(
    trx,
    rateLimits.flatMap(({ digests }) => digests),
  );
  const wait = await longestWait(trx, now, rateLimits);
  if (wait) return wait;
  for (const rateLimit of rateLimits) await insertHit(trx, now, rateLimit);
  return undefined;
}

/** Returns how long `consume` would refuse, or undefined if it wouldn't. Consumes nothing. */
export async function longestWait(
  db: Kysely<DB>,
  now: number,
  rateLimits: readonly RateLimit[],
): Promise<Wait | undefined> {
  let longest: Wait | undefined;
  for (const rateLimit of rateLimits) {
    const wait = await waitOf(db, now, rateLimit);
    if (wait && wait.ms > (longest?.ms ?? 0)) longest = wait;
  }
  return longest;
}

async function waitOf(db: Kysely<DB>, now: number, rateLimit: RateLimit): Promise<Wait | undefined> {
  const after = now - lifeOf(rateLimit);
  if (await isBelow(db, after, rateLimit)) return undefined;
  const [first, ...others] = rateLimit.digests;
  const hits = await selectHits(db, { digest: first, after });
  for (const digest of others) hits.push(...(await selectHits(db, { digest, after })));
  if (others.length > 0) hits.sort((a, b) => b.time - a.time);
  let longest: Wait | undefined;
  for (const window of rateLimit.windows) {
    const ms = waitFor(window, rateLimit.slotMs, now, hits);
    if (ms > (longest?.ms ?? 0)) longest = { window, ms };
  }
  return longest;
}

/** Whether all hits together are below every limit. The common case: it reads a sum instead of up to 61 rows. */
async function isBelow(db: Kysely<DB>, after: number, { digests, windows }: RateLimit): Promise<boolean> {
  let hits = 0;
  for (const digest of digests) {
    const [total] = await sumHits(db, { digest, after });
    hits += Number(total?.hits ?? 0);
  }
  return windows.every(({ limit }) => hits < limit);
}

/**
 * Returns the milliseconds until the window has room for one more hit: until the `limit`-th newest hit leaves it.
 *
 * @param hits newest first.
 */
function waitFor(
  { limit, windowMs, since = Number.NEGATIVE_INFINITY }: LimitWindow,
  slotMs: number,
  now: number,
  hits: readonly { readonly time: number; readonly count: number }[],
): number {
  let count = 0;
  for (const hit of hits) {
    if (hit.time < since) break;
    count += hit.count;
    if (count >= limit) return Math.max(0, hit.time + slotMs - 1 + windowMs - now);
  }
  return 0;
}

async function insertHit(trx: Transaction<DB>, now: number, rateLimit: RateLimit): Promise<void> {
  const time = now - (now % rateLimit.slotMs);
  await countHit(trx, { digest: rateLimit.digests[0], time, expireTime: time + lifeOf(rateLimit) });
}

const sumHits = prepare((db, param: Param<{ digest: string; after: number }>) =>
  db
    .selectFrom("hits")
    .select(({ fn }) => fn.sum<number | string | null>("count").as("hits"))
    .where("digest", "=", param("digest"))
    .where("time", ">", param("after")),
);

const selectHits = prepare((db, param: Param<{ digest: string; after: number }>) =>
  db
    .selectFrom("hits")
    .select(["time", "count"])
    .where("digest", "=", param("digest"))
    .where("time", ">", param("after"))
    .orderBy("time", "desc"),
);

const countHit = prepare((db, param: Param<{ digest: string; time: number; expireTime: number }>) =>
  db
    .insertInto("hits")
    .values({ digest: param("digest"), time: param("time"), count: 1, expire_time: param("expireTime") })
    .onConflict((conflict) =>
      conflict.columns(["digest", "time"]).doUpdateSet((eb) => ({ count: eb("hits.count", "+", 1) })),
    ),
);

/** How long a row counts, in milliseconds from the start of its slot. */
function lifeOf({ windows, slotMs }: RateLimit): number {
  return Math.max(...windows.map(({ windowMs }) => windowMs)) + slotMs - 1;
}
