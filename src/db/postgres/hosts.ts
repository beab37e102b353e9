import pg from "pg";
import { DatabaseTimeout, isPoolTimeout } from "./errors.ts";

/**
 * A pool of connections to whichever of several servers takes writes. Like libpq with `target_session_attrs=read-write`, a new
 * connection tries one server after the other, here starting with the one that last took writes. When that changes, connections
 * to the previous server are closed: it may be alive although it was replaced.
 *
 * @param urls the servers, in the order in which they are first tried. They share the connection timeout of the options.
 */
export function openWritablePool(urls: readonly string[], options: pg.PoolConfig): pg.Pool {
  const timeoutMs = Math.floor((options.connectionTimeoutMillis ?? 0) / urls.length);
  const hosts = new WeakMap<pg.ClientBase, number>();
  /** Indexes of `urls`: the server to try next, and the one that last took writes. */
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
          if (isPoolTimeout(error)) throw error;
          // Unless a concurrent call has moved on already.
          if (next === host) next = (host + 1) % urls.length;
          if (++failures === urls.length) throw error;
        }
      }
    }
  }

  async function requireWritable(client: pg.ClientBase): Promise<void> {
    // "on" for a standby, and for a server that is set to read-only.
    const query = { text: "show transaction_read_only", query_timeout: timeoutMs };
    const { rows } = await client.query<{ transaction_read_only: string }>(query);
    if (rows[0]?.transaction_read_only !== "off") throw new DatabaseTimeout("no server takes writes");
    writable = hosts.get(client) ?? 0;
    next = writable;
  }

  return new HostPool({ ...options, Client: HostClient, onConnect: requireWritable });
}
