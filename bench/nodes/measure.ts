import type { Job, Load } from "../lib/load/process.ts";
import { showStep } from "../lib/output.ts";
import { medians } from "../lib/ratios.ts";
import type { Server } from "../lib/server.ts";
import type { Testbed } from "../lib/testbed.ts";
import type { Cluster } from "./cluster.ts";
import type { Options } from "./options.ts";

export const calls = ["add, code returned", "add, code mailed", "verify", "login"] as const;
export type Call = (typeof calls)[number];

/** The nodes that share the load of a run. */
export interface Fleet {
  readonly name: "SQLite, 1 node" | "PostgreSQL, 1 node" | "PostgreSQL, 2 nodes";
  /** Name of the database: the load generator counts users for each one separately. */
  readonly database: string;
  readonly servers: readonly Server[];
}

/** One run. Costs are per request; those of PostgreSQL are 0 on SQLite. */
export interface Sample extends Load {
  /** CPU time of all nodes, in microseconds. */
  readonly nodeUs: number;
  /** CPU time of all processes of PostgreSQL, in microseconds. */
  readonly databaseUs: number;
  /** Bytes of PostgreSQL's write-ahead log. */
  readonly walBytes: number;
}

/** Medians of the runs of a fleet with one call. */
export interface Row extends Sample {
  readonly fleet: Fleet["name"];
  readonly call: Call;
  readonly samples: readonly Sample[];
}

/** Measures in rounds, so that other load on the machine affects all rows alike. */
export async function measure(
  fleets: readonly Fleet[],
  cluster: Cluster,
  testbed: Testbed,
  { rounds, runMs, concurrency }: Options,
): Promise<Row[]> {
  const rows = calls.flatMap((call) => fleets.map((fleet) => ({ fleet, call, samples: [] as Sample[] })));
  for (let round = 1; round <= rounds; round++) {
    for (const { fleet, call, samples } of rows) {
      showStep(`round ${round} of ${rounds}: ${fleet.name}, ${call}`);
      samples.push(await run(fleet, call, concurrency, runMs, cluster, testbed));
    }
  }
  return rows.map(({ fleet, call, samples }) => ({
    fleet: fleet.name,
    call,
    ...medians(samples),
    samples,
  }));
}

/** Makes one call for a while, with so many requests at a time for each node. */
export async function run(
  { database, servers }: Fleet,
  call: Call,
  concurrency: number,
  runMs: number,
  cluster: Cluster,
  { generator, issuer }: Testbed,
): Promise<Sample> {
  const job = {
    server: database,
    ports: servers.map(({ port }) => port),
    format: "connect",
    concurrency: concurrency * servers.length,
    runMs,
    tokens: issuer.tokens,
  } as const satisfies Omit<Job, "operation">;
  // Add the authenticators to verify first, unmeasured.
  if (call === "verify") await generator.run({ ...job, operation: "add to verify" });
  const isPostgres = database === "PostgreSQL";
  const nodeUs = async () => {
    const readings = await Promise.all(servers.map((server) => server.read()));
    return readings.reduce((sum, { cpuUs }) => sum + cpuUs, 0);
  };
  const before = { node: await nodeUs(), database: cluster.cpuUs(), wal: await cluster.walBytes() };
  const load = await generator.run({ ...job, operation: call });
  const perRequest = (difference: number) => difference / load.requests;
  return {
    ...load,
    nodeUs: perRequest((await nodeUs()) - before.node),
    databaseUs: isPostgres ? perRequest(cluster.cpuUs() - before.database) : 0,
    walBytes: isPostgres ? perRequest((await cluster.walBytes()) - before.wal) : 0,
  };
}
