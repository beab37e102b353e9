import pg from "pg";
import { DatabaseSilent } from "./pool.ts";

/**
 * A pool of connections to the one of several servers that takes writes. As in libpq with `target_session_attrs=read-write`
 * a new connection is tried at one after the other, here beginning with the one that took writes last. Connections to
 * another one are not used any more when that has changed: their server may have been thought dead, and live on.
 *
 * @param urls of the servers, in the order in which they are tried first. All of them together get the time of one.
 */
export function openWritablePool(urls: readonly string[], options: pg.PoolConfig): pg.Pool {
  const timeoutMs = Math.floor((options.connectionTimeoutMillis ?? 0) / urls.length);
  const hosts = new WeakMap<pg.ClientBase, number>();
  /** Of `urls`: which is tried next, and which took writes last. */
  let next = 0;
  let writable = 0;

  class HostClient extends pg.Client {
    constructor(config?: pg.ClientConfig) {
      super({ ...config, connectionString: urls[next], connectionTimeoutMillis: timeoutMs });
      hosts.set(this, next);
    }
  }

  class HostPool extends pg.Pool {
    override async connect(): Promise<pg.PoolClient> {
      for (let failures = 0; ; ) {
        const host = next;
        try {
          const client = await super.connect();
          if (hosts.get(client) === writable) return client;
          client.release(true);
        } catch (error) {
          if (isWaitForOthers(error)) throw error;
          // Unless somebody else has gone on before.
          if (next === host) next = (host + 1) % urls.length;
          if (++failures === urls.length) throw error;
        }
      }
    }
  }

  async function keepIfWritable(client: pg.ClientBase): Promise<void> {
    // "on" in a standby, and in a server that is set to it.
    const query = { text: "show transaction_read_only", query_timeout: timeoutMs };
    const { rows } = await client.query<{ transaction_read_only: string }>(query);
    if (rows[0]?.transaction_read_only !== "off") throw new DatabaseSilent("no server takes writes");
    writable = hosts.get(client) ?? 0;
    next = writable;
  }

  return new HostPool({ ...options, Client: HostClient, onConnect: keepIfWritable });
}

/** All connections are taken: that says nothing of the server. */
function isWaitForOthers(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("timeout exceeded when trying to connect");
}
