import type { Kysely, Transaction } from "kysely";
import { lockNames } from "../../db/core/lock.ts";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { DB } from "../../db/core/schema.ts";

/** What counts towards the same limits, such as the mails to one address. */
export interface RateLimit {
  /** Where hits are looked for. They are written under the first. */
  readonly digests: readonly [string, ...string[]];
  readonly limits: readonly LimitWindow[];
  /**
   * How exactly the time of a hit is kept, in milliseconds. 1: every hit has its row. More, where many hits are allowed:
   * those of a slot share one, and all count until the last of them would be out of the window.
   */
  readonly slotMs: number;
}

/** At most `most` hits in any `windowMs` milliseconds. */
export interface LimitWindow {
  readonly limit: number;
  readonly windowMs: number;
}

/**
 * Counts one hit in each log, or none in any if a limit of one of them is reached. Windows slide: at no time are there
 * more hits behind it than the limit says.
 *
 * Exact, whatever happens at once: the logs are read and written under a lock.
 *
 * (rate-limiter-flexible 11.4 counts in a transaction of its own, by its own clock, one key at a time and in windows that
 * do not slide: it could not be undone with the row of the outbox, and would let twice as many mails go in an hour.)
 *
 * @returns the limit with the longest wait and that wait in milliseconds, or undefined if the hit was counted.
 */
export async function consume(
  trx: Transaction<DB>,
  now: number,
  logs: readonly RateLimit[],
): Promise<Wait | undefined> {
  await lockNames(
    trx,
    logs.flatMap(({ digests }) => digests),
  );
  const wait = await longestWait(trx, now, logs);
  if (wait) return wait;
  for (const log of logs) await insertHit(trx, now, log);
  return undefined;
}

export interface Wait {
  readonly limit: LimitWindow;
  readonly ms: number;
}

/** The longest that one more hit would have to wait for. Counts nothing. */
export async function longestWait(
  db: Kysely<DB>,
  now: number,
  logs: readonly RateLimit[],
): Promise<Wait | undefined> {
  let longest: Wait | undefined;
  for (const log of logs) {
    const wait = await waitOf(db, now, log);
    if (wait && wait.ms > (longest?.ms ?? 0)) longest = wait;
  }
  return longest;
}

async function waitOf(db: Kysely<DB>, now: number, log: RateLimit): Promise<Wait | undefined> {
  const after = now - lifeOf(log);
  if (await isBelow(db, after, log)) return undefined;
  const [first, ...others] = log.digests;
  const hits = await selectHits(db, { digest: first, after });
  // Those of the keys before the current one.
  for (const digest of others) hits.push(...(await selectHits(db, { digest, after })));
  if (others.length > 0) hits.sort((a, b) => b.time - a.time);
  let longest: Wait | undefined;
  for (const limit of log.limits) {
    const ms = waitFor(limit, log.slotMs, now, hits);
    if (ms > (longest?.ms ?? 0)) longest = { limit, ms };
  }
  return longest;
}

/** Whether there are so few hits that no limit is reached, whenever they were. Nearly always so, and one row is read and not 61. */
async function isBelow(db: Kysely<DB>, after: number, { digests, limits }: RateLimit): Promise<boolean> {
  let hits = 0;
  for (const digest of digests) {
    const [total] = await sumHits(db, { digest, after });
    hits += Number(total?.hits ?? 0);
  }
  return limits.every(({ limit }) => hits < limit);
}

/**
 * How long until there is room for one more hit, in milliseconds: as long as the newest `most` hits are in the window.
 *
 * @param hits newest first.
 */
export function waitFor(
  { limit, windowMs }: LimitWindow,
  slotMs: number,
  now: number,
  hits: readonly { readonly time: number; readonly count: number }[],
): number {
  let count = 0;
  for (const hit of hits) {
    count += hit.count;
    if (count >= limit) return Math.max(0, hit.time + slotMs - 1 + windowMs - now);
  }
  return 0;
}

async function insertHit(trx: Transaction<DB>, now: number, log: RateLimit): Promise<void> {
  const time = now - (now % log.slotMs);
  await countHit(trx, { digest: log.digests[0], time, expireTime: time + lifeOf(log) });
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

/** How long a row counts for, from the start of its slot. */
function lifeOf({ limits, slotMs }: RateLimit): number {
  return Math.max(...limits.map(({ windowMs }) => windowMs)) + slotMs - 1;
}
