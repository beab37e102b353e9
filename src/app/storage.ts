import type { Config } from "../config/config.ts";
import { openDatabaseClock } from "../db/postgres/clock.ts";
import { openStore, type Store } from "../db/store.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { makePrivateFolder } from "../lib/private-file.ts";
import type { CleanupStack } from "./cleanup-stack.ts";

export interface Storage {
  readonly store: Store;
  readonly clock: Clock;
  /** Resolves if the database has failed for good. */
  readonly failed: Promise<void>;
}

/**
 * Opens the database and migrates it.
 *
 * @param clock for tests. By default, the clock of this machine (SQLite) or of the database (PostgreSQL).
 * @throws if the database is damaged or cannot be opened.
 */
export async function openStorage(
  config: Config,
  log: Log,
  cleanup: CleanupStack,
  clock: Clock | undefined,
): Promise<Storage> {
  makePrivateFolder(config.dataDir);
  let fail = () => {};
  const failed = new Promise<void>((resolve) => {
    fail = resolve;
  });
  const store = cleanup.add(
    openStore(config.databaseUrl, {
      onError: (err) => log.warn({ err }, "a connection to the database was lost"),
      onFailure: (err) => {
        log.fatal(
          { err },
          "the storage has failed: nothing is read or written any more, and the service ends",
        );
        fail();
      },
    }),
  );
  await store.migrate();
  return { store, clock: clock ?? (await clockOf(store, log, cleanup)), failed };
}

/** Machines that share a database use its clock, so that they agree on what has expired. */
async function clockOf(store: Store, log: Log, cleanup: CleanupStack): Promise<Clock> {
  if (store.engine === "sqlite") return systemClock;
  const { now } = cleanup.add(
    await openDatabaseClock({
      store,
      onSkew: (skewMs) => log.error({ skewMs }, "the clock of this machine is far from that of the database"),
      onError: (err) => log.warn({ err }, "the time of the database cannot be read"),
    }),
  );
  return { ...systemClock, now };
}
