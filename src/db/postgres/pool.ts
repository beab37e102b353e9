import type { PostgresPool, PostgresPoolClient } from "kysely";
import pg from "pg";

/** How many may wait for a connection: about a second's work. Whoever comes later than that is better told at once. */
const waitingMax = 2_000;

/** No connection is to be had in good time, or no answer on one. The same call may succeed later. */
export class DatabaseSilent extends Error {
  override readonly name = "DatabaseSilent";
}

/** Committed here, and perhaps nowhere else: whether it outlives a failover is not known. */
export class NotReplicated extends Error {
  override readonly name = "NotReplicated";

  constructor() {
    super("the standby did not confirm the commit");
  }
}

/**
 * The pool as Kysely takes it. Nobody waits without end for a database that does not answer: where nothing has come from it
 * since a statement that ran out of time was sent, one call at a time tries it, and the others are refused at once.
 *
 * @param nameOf the name under which a statement is prepared, if it is.
 */
export function guardedPool(pool: pg.Pool, nameOf: (text: string) => string | undefined): PostgresPool {
  const connectedAt = new WeakMap<pg.PoolClient, number>();
  let answeredAt = Number.NEGATIVE_INFINITY;
  let silentAt = Number.NEGATIVE_INFINITY;
  let isSilent = false;
  let isTried = false;
  pool.on("connect", (client) => void connectedAt.set(client, performance.now()));

  function heard(): void {
    answeredAt = performance.now();
    isSilent = false;
  }

  function failed(error: unknown, since: number): void {
    if (error instanceof pg.DatabaseError) heard();
    else if (isTimeout(error) && answeredAt < since) {
      isSilent = true;
      silentAt = performance.now();
    }
  }

  async function connect(): Promise<pg.PoolClient> {
    const since = performance.now();
    try {
      for (;;) {
        const client = await pool.connect();
        // One from before may be cut off without having heard of it.
        if ((connectedAt.get(client) ?? 0) > silentAt) return client;
        client.release(true);
      }
    } catch (error) {
      failed(error, since);
      throw error;
    }
  }

  async function take(): Promise<PostgresPoolClient> {
    if (pool.waitingCount >= waitingMax) throw new DatabaseSilent("too many wait for a connection");
    if (!isSilent) return guarded(await connect(), () => {});
    if (isTried) throw new DatabaseSilent("the database does not answer");
    isTried = true;
    const end = () => {
      isTried = false;
    };
    try {
      return guarded(await connect(), end);
    } catch (error) {
      end();
      throw error;
    }
  }

  function guarded(client: pg.PoolClient, released: () => void): PostgresPoolClient {
    let lost: unknown;
    let isAlone = false;
    // A wait for the standby that is cancelled ends as if all were well, but for this notice.
    const notice = ({ routine }: { routine?: string | undefined }) => {
      isAlone ||= routine === "SyncRepWaitForLSN";
    };
    client.on("notice", notice);
    return {
      async query(text: string, values: unknown[]) {
        // Kysely rolls back after every error. Here nobody would hear it, and the first error is the one to be told.
        if (lost !== undefined) throw lost;
        const since = performance.now();
        try {
          const result = await client.query({ name: nameOf(text), text, values });
          heard();
          if (isAlone) throw new NotReplicated();
          return result;
        } catch (error) {
          failed(error, since);
          if (!isUsableAfter(error)) lost = error;
          throw error;
        }
      },
      release() {
        client.off("notice", notice);
        client.release(lost !== undefined);
        released();
      },
    } as unknown as PostgresPoolClient;
  }

  return { connect: take, end: () => pool.end() } as unknown as PostgresPool;
}

/** Of a connection or a statement. To wait for others who hold all connections is something else. */
function isTimeout(error: unknown): boolean {
  return (
    error instanceof Error &&
    /^(Query read timeout|Connection terminated due to connection|timeout expired)/.test(error.message)
  );
}

/**
 * Whether the connection can be used again. Not one on which an answer may still come, nor one to a server that ends (57P)
 * or takes no writes (25006): a new one may lead to the server that has taken its place.
 */
function isUsableAfter(error: unknown): boolean {
  return error instanceof pg.DatabaseError && !/^(57P|08|25006)/.test(error.code ?? "");
}
