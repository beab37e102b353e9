import { existsSync } from "node:fs";
import { readOperatorConfig } from "../config/config.ts";
import { ConfigError } from "../config/config-error.ts";
import { openStore, type Store } from "../db/store.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import { createKeyRing, hasDevelopmentKey, type KeyRing, openDevelopmentKey } from "../otp/codes/keys.ts";
import type { Policy } from "../otp/policy.ts";

/** The data of a server, which may run at the same time. */
export interface Operator extends AsyncDisposable {
  readonly store: Store;
  readonly clock: Clock;
  readonly keys: KeyRing;
  readonly policy: Policy;
}

/**
 * Opens the existing data of a server. Needs the keys of the server: with others, nothing would be found.
 *
 * @throws ConfigError if there is no database, or no keys.
 */
export async function openOperator(): Promise<Operator> {
  const { dataDir, databaseUrl, keys, policy } = readOperatorConfig();
  const problems: string[] = [];
  const isMissing = databaseUrl.startsWith("sqlite:") && !existsSync(databaseUrl.slice("sqlite:".length));
  if (isMissing) {
    problems.push(
      "COUNTERSIGN_DATABASE_URL or COUNTERSIGN_DATA_DIR must name the database of a server: there is none",
    );
  }
  if (!keys && !hasDevelopmentKey(dataDir)) {
    problems.push("COUNTERSIGN_KEYS is missing: set the keys of the server");
  }
  if (problems.length > 0) throw new ConfigError(problems);
  const store = openStore(databaseUrl);
  try {
    if (!(await store.isReady())) {
      throw new Error(
        "the database is not up to date: run countersign migrate, or start the server, and try again",
      );
    }
    return {
      store,
      clock: systemClock,
      keys: createKeyRing(keys ?? [openDevelopmentKey(dataDir)]),
      policy,
      [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
    };
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw error;
  }
}
