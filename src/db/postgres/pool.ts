import type { PostgresPool, PostgresPoolClient } from "kysely";
import type pg from "pg";
import { waitingMax } from "../core/write.ts";
import { DatabaseTimeout, isUsableAfter, NotReplicated } from "./errors.ts";
import { PostgresHealth } from "./health.ts";

/**
 * Wraps a pool for Kysely so that calls don't pile up while the server is silent: from a timeout on, one call at a time tries
 * the server and the others are refused at once.
 *
 * @param statementNameOf returns the name under which a statement is prepared, or undefined if it isn't.
 */
export function guardPool(
  pool: pg.Pool,
  statementNameOf: (text: string) => string | undefined,
): PostgresPool {
  const health = new PostgresHealth();
  const connectedAt = new WeakMap<pg.PoolClient, number>();
  let isProbing = false;
  pool.on("connect", (client) => void connectedAt.set(client, performance.now()));

  /** Takes a connection made after the last silence. */
  async function connect(): Promise<pg.PoolClient> {
    const since = performance.now();
    try {
      for (;;) {
        const client = await pool.connect();
        if ((connectedAt.get(client) ?? 0) > health.silentAt) return client;
        client.release(true);
      }
    } catch (error) {
      health.observe(error, since);
      throw error;
    }
  }

  async function acquire(): Promise<PostgresPoolClient> {
    if (pool.waitingCount >= waitingMax)
      throw new DatabaseTimeout("too many calls are waiting for a connection");
    if (!health.isSilent) return guardClient(await connect(), statementNameOf, health);
    if (isProbing) throw new DatabaseTimeout("the database does not answer");
    isProbing = true;
    const endProbe = () => {
      isProbing = false;
    };
    try {
      return guardClient(await connect(), statementNameOf, health, endProbe);
    } catch (error) {
      endProbe();
      throw error;
    }
  }

  return { connect: acquire, end: () => pool.end() } as unknown as PostgresPool;
}

function guardClient(
  client: pg.PoolClient,
  statementNameOf: (text: string) => string | undefined,
  health: PostgresHealth,
  onRelease = () => {},
): PostgresPoolClient {
  let brokenBy: unknown;
  let isUnreplicated = false;
  // A commit whose wait for the standby was cancelled succeeds all the same. Only this notice shows it.
  const onNotice = ({ routine }: { routine?: string | undefined }) => {
    isUnreplicated ||= routine === "SyncRepWaitForLSN";
  };
  client.on("notice", onNotice);
  return {
    async query(text: string, values: unknown[]) {
      // Kysely rolls back after every error. On a broken connection the first error is the one to report.
      if (brokenBy !== undefined) throw brokenBy;
      const since = performance.now();
      try {
        const result = await client.query({ name: statementNameOf(text), text, values });
        health.answered();
        if (isUnreplicated) throw new NotReplicated();
        return result;
      } catch (error) {
        health.observe(error, since);
        if (!isUsableAfter(error)) brokenBy = error;
        throw error;
      }
    },
    release() {
      client.off("notice", onNotice);
      client.release(brokenBy !== undefined);
      onRelease();
    },
  } as unknown as PostgresPoolClient;
}
