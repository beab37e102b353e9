import { type Kysely, sql } from "kysely";
import type { DB } from "../core/schema.ts";

export interface DatabaseClock extends AsyncDisposable {
  /** Milliseconds since the Unix epoch, by the clock of the database. */
  now(): number;
}

export interface DatabaseClockOptions {
  readonly store: { readonly db: Kysely<DB> };
  /** Called when this machine's clock is more than 30 s off that of the database, with the difference in milliseconds. */
  readonly onSkew: (skewMs: number) => void;
  readonly onError: (error: unknown) => void;
}

/** How often the two clocks are compared, in milliseconds. */
const compareEveryMs = 60_000;

/** In milliseconds. No machine with time synchronization drifts that far (F11). */
const skewMsMax = 30_000;

/**
 * The clock of the database, which decides what has expired: the machines that share it may disagree. It is read once a minute
 * and extrapolated with the clock of this machine, exact to half the duration of a query.
 *
 * @throws if the database does not answer.
 */
export async function openDatabaseClock({
  store,
  onSkew,
  onError,
}: DatabaseClockOptions): Promise<DatabaseClock> {
  let offset = 0;
  let comparing: Promise<void> = compare();
  await comparing;
  const timer = setInterval(() => {
    comparing = compare().catch(onError);
  }, compareEveryMs).unref();

  async function compare(): Promise<void> {
    const before = Date.now();
    const time = await readTime(store.db);
    offset = time - (before + Date.now()) / 2;
    if (Math.abs(offset) > skewMsMax) onSkew(offset);
  }

  return {
    now: () => Math.round(Date.now() + offset),
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await comparing;
    },
  };
}

async function readTime(db: Kysely<DB>): Promise<number> {
  const { rows } = await sql<{ time: number }>`
    select (extract(epoch from clock_timestamp()) * 1000)::bigint as time`.execute(db);
  if (!rows[0]) throw new Error("the database returned no time");
  return rows[0].time;
}
