import type { Config } from "../config/config.ts";
import { openDatabaseClock } from "../db/database-clock.ts";
import { openStore, type Store } from "../db/store.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { makePrivateFolder } from "../lib/private-file.ts";
import type { CleanupStack } from "./cleanup-stack.ts";

export interface Storage {
  /** Migrated. */
  readonly store: Store;
  readonly clock: Clock;
  /** Resolves when the storage has failed for good. */
  readonly failed: Promise<void>;
}

/**
 * Opens the database and brings it up to date.
 *
 * @param clock in place of the clock of the machine or the database.
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

/** Where machines share a database, its clock decides for all of them. */
async function clockOf(store: Store, log: Log, cleanup: CleanupStack): Promise<Clock> {
  if (store.engine === "sqlite") return systemClock;
  const { now } = cleanup.add(
    await openDatabaseClock({
      store,
      onSkew: (skewMs) => log.error({ skewMs }, "the clock of this machine is far from that of the database"),
      onError: (err) => log.warn({ err }, "the database does not tell the time now"),
    }),
  );
  return { ...systemClock, now };
}
