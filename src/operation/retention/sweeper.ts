import type { Kysely } from "kysely";
import { firstIdAt } from "../../db/core/id.ts";
import type { DB } from "../../db/core/schema.ts";
import type { Store } from "../../db/store.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";

/** Tables whose rows expire, and what tells their rows apart. */
const swept = [
  { table: "hits", key: "digest" },
  { table: "idempotency_keys", key: "digest" },
  { table: "removed_otp_emails", key: "digest" },
  { table: "challenges", key: "challenge_id" },
  { table: "suppressions", key: "digest" },
] as const;

/**
 * How long a mail is kept after it was queued: so long it may come back, as servers try for four to five days (RFC 5321
 * §4.5.4.1). What came of it stays with its authenticator and in the trail.
 */
const mailKeptMs = 7 * 24 * 3_600_000;

/** Between two rounds, in milliseconds. What has expired counts no longer, swept or not. */
const pauseMs = 60_000;

/** How many keys at most go in one transaction: others that want to write wait no longer than that takes. */
const batchSize = 200;

export interface SweeperOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
}

/** Removes what has expired, a few rows at a time. To dispose it: the batch under way is finished, and no other begun. */
export function startSweeper({ store, clock, log }: SweeperOptions): AsyncDisposable {
  const stopping = new AbortController();
  const { signal } = stopping;

  async function run(): Promise<void> {
    while (!signal.aborted) {
      try {
        await sweep(store, clock.now(), signal);
      } catch (error) {
        const code = error instanceof Error && "code" in error ? error.code : undefined;
        log.error({ code }, "what has expired cannot be swept now");
      }
      await clock.wait(pauseMs, signal);
    }
  }

  const running = run();
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await running;
    },
  };
}

/** Removes everything that had expired by `now`, in batches, until it is done or told to stop. */
export async function sweep(store: Store, now: number, signal: AbortSignal): Promise<void> {
  await sweepMails(store, firstIdAt(now - mailKeptMs), signal);
  for (const { table, key } of swept) {
    // Looked for before the write lock is taken: most of the time there is nothing.
    while (!signal.aborted && (await hasExpired(store.db, table, now))) {
      await store.write((trx) =>
        trx
          .deleteFrom(table)
          .where(key, "in", (eb) =>
            eb.selectFrom(table).select(key).where("expire_time", "<=", now).limit(batchSize),
          )
          .where("expire_time", "<=", now)
          .execute(),
      );
    }
  }
}

async function hasExpired(
  db: Kysely<DB>,
  table: (typeof swept)[number]["table"],
  now: number,
): Promise<boolean> {
  const row = await db
    .selectFrom(table)
    .select("expire_time")
    .where("expire_time", "<=", now)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** @param end the first id that is kept. */
async function sweepMails({ db, write }: Store, end: string, signal: AbortSignal): Promise<void> {
  const old = (from: Kysely<DB>) =>
    from
      .selectFrom("outbox")
      .select("mail_id")
      .where("mail_id", "<", end)
      .where("state", "!=", "queued")
      .orderBy("mail_id");
  while (!signal.aborted && (await old(db).limit(1).executeTakeFirst())) {
    await write((trx) =>
      trx.deleteFrom("outbox").where("mail_id", "in", old(trx).limit(batchSize)).execute(),
    );
  }
}
