import { sql } from "kysely";
import type { Store } from "./store.ts";

export interface DatabaseClock extends AsyncDisposable {
  /** Milliseconds since the Unix epoch, by the database. */
  now(): number;
}

export interface DatabaseClockOptions {
  readonly store: Store;
  /** Told when the clock of this machine is further from that of the database than it should ever be. */
  readonly onSkew: (skewMs: number) => void;
  readonly onError: (error: unknown) => void;
}

/** How often the two are compared, in milliseconds. */
const comparedEveryMs = 60_000;

/** More than any machine drifts whose clock is looked after (F11). */
const skewMsMax = 30_000;

/**
 * The time of the database, which decides what has expired: the machines that share it may have clocks of their own. It is
 * asked once a minute, and between by the clock of this machine: exact to half of what a query takes.
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
  }, comparedEveryMs).unref();

  async function compare(): Promise<void> {
    const before = Date.now();
    const time = await databaseTime(store);
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

async function databaseTime({ db }: Store): Promise<number> {
  const { rows } = await sql<{ time: number }>`
    select (extract(epoch from clock_timestamp()) * 1000)::bigint as time`.execute(db);
  if (!rows[0]) throw new Error("the database does not tell the time");
  return rows[0].time;
}
