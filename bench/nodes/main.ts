import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { copyDatabase, makeDatabase } from "../lib/database.ts";
import type { Job, Load } from "../lib/load/process.ts";
import type { Operation } from "../lib/operations.ts";
import { clientCore, serverCore } from "../lib/pin.ts";
import { type Server, startServer } from "../lib/server.ts";
import { ratiosTable, table } from "../lib/table.ts";
import { openSurroundings, readOptions, saveJson } from "../lib/testbed.ts";
import { wholeNumber } from "../service/options.ts";
import { serve } from "../service/targets.ts";
import { median } from "../wire/measure.ts";
import type { Ratio } from "../wire/ratios.ts";
import { startCluster, type TableSize } from "./cluster.ts";
import { limitShare } from "./share.ts";
import { sqliteSizes } from "./sqlite-sizes.ts";

const usage = `npm run bench:nodes -- [options]

One and two processes of the service on one PostgreSQL, beside one on SQLite, all durable.

  --rounds N       measured runs of each row (5)
  --run MS         of a run (2000)
  --warm-up MS     of each call before the first run (4000)
  --at-a-time N    requests at a time for each node (32)
  --share N        of a core that each node on PostgreSQL has at most (1: all of it; less needs control groups)
  --ceilings off   without those on the mails of all, and of one client, which share a lock
  --out FILE       results as JSON (bench/results/nodes.json)
`;

const called = ["add, code returned", "add, code mailed", "verify", "login"] as const;
type Call = (typeof called)[number];

/** Who is asked. */
interface Fleet {
  readonly name: "SQLite, 1 node" | "PostgreSQL, 1 node" | "PostgreSQL, 2 nodes";
  /** Whom the load generator counts users for. */
  readonly database: string;
  readonly servers: readonly Server[];
}

interface Sample extends Load {
  /** Of all nodes, for each request, in microseconds. */
  readonly nodeUs: number;
  /** Of all processes of PostgreSQL. */
  readonly databaseUs: number;
  readonly walBytes: number;
}

const options = readOptions(parse, usage);
using surroundings = await openSurroundings();
const { folder, pin, generator, issuer, tell } = surroundings;

tell("the databases");
await using cluster = await startCluster();
const usersPath = join(folder, "users.db");
await makeDatabase(usersPath);
const sqliteFolder = join(folder, "sqlite");
mkdirSync(sqliteFolder);
const sqlitePath = join(sqliteFolder, "countersign.db");
copyDatabase(usersPath, sqlitePath);

const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const secrets = {
  COUNTERSIGN_KEYS: `bench:${randomBytes(32).toString("base64")}`,
  COUNTERSIGN_PROOF_KEYS: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  COUNTERSIGN_PROOF_AUDIENCES: "*",
  ...(options.hasCeilings
    ? {}
    : { COUNTERSIGN_CLIENT_MAILS_PER_HOUR_MAX: "off", COUNTERSIGN_ALL_MAILS_PER_HOUR_MAX: "off" }),
};
const servers: Server[] = [];
const unlimit: (() => void)[] = [];

async function start(name: string, core: number, settings: Readonly<Record<string, string>>) {
  const own = join(folder, name);
  mkdirSync(own, { recursive: true });
  const command = serve(surroundings, { COUNTERSIGN_DATA_DIR: own, ...secrets, ...settings });
  const server = await startServer(command, pin, core);
  servers.push(server);
  return server;
}

try {
  const onSqlite = await start("sqlite", serverCore, {});
  const onPostgres = { COUNTERSIGN_DATABASE_URL: cluster.url };
  const first = await start("node-1", serverCore, onPostgres);
  const second = await start("node-2", clientCore, onPostgres);
  if (options.share < 1) for (const { pid } of [first, second]) unlimit.push(limitShare(pid, options.share));
  const fleets: Fleet[] = [
    { name: "SQLite, 1 node", database: "SQLite", servers: [onSqlite] },
    { name: "PostgreSQL, 1 node", database: "PostgreSQL", servers: [first] },
    { name: "PostgreSQL, 2 nodes", database: "PostgreSQL", servers: [first, second] },
  ];
  for (const fleet of fleets.filter(({ name }) => name !== "PostgreSQL, 1 node"))
    for (const call of called) await ask(fleet, call, options.warmUpMs);
  // As the server does by itself within a minute: until then it plans for tables that are empty.
  await cluster.analyze();
  const rows = await measure(fleets);
  const sizes = {
    PostgreSQL: await cluster.sizes(),
    SQLite: await (async () => {
      await onSqlite.stop();
      return sqliteSizes(sqlitePath);
    })(),
  };
  report(rows, sizes);
} finally {
  await Promise.all(servers.map((server) => server.stop()));
  for (const end of unlimit) end();
}

function parse(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "5" },
      run: { type: "string", default: "2000" },
      "warm-up": { type: "string", default: "4000" },
      "at-a-time": { type: "string", default: "32" },
      share: { type: "string", default: "1" },
      ceilings: { type: "string", default: "on" },
      out: { type: "string", default: "bench/results/nodes.json" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  return {
    rounds: wholeNumber("rounds", values.rounds),
    runMs: wholeNumber("run", values.run),
    warmUpMs: wholeNumber("warm-up", values["warm-up"]),
    atATime: wholeNumber("at-a-time", values["at-a-time"]),
    share: shareOf(values.share),
    hasCeilings: values.ceilings !== "off",
    out: values.out,
  };
}

function shareOf(text: string): number {
  const share = Number(text);
  if (share > 0 && share <= 1) return share;
  throw new Error("--share must be a number above 0, of 1 at most");
}

interface Row {
  readonly fleet: Fleet["name"];
  readonly call: Call;
  readonly samples: Sample[];
}

/** In rounds, so that what else the machine does hits all alike. */
async function measure(fleets: readonly Fleet[]): Promise<Row[]> {
  const rows: Row[] = called.flatMap((call) =>
    fleets.map(({ name }) => ({ fleet: name, call, samples: [] })),
  );
  for (let round = 1; round <= options.rounds; round++) {
    for (const { fleet, call, samples } of rows) {
      tell(`round ${round} of ${options.rounds}: ${fleet}, ${call}`);
      samples.push(await ask(fleets.find(({ name }) => name === fleet)!, call, options.runMs));
    }
  }
  return rows;
}

async function ask({ database, servers: asked }: Fleet, call: Call, runMs: number): Promise<Sample> {
  const job = {
    server: database,
    ports: asked.map(({ port }) => port),
    spelling: "connect",
    concurrency: options.atATime * asked.length,
    runMs,
    tokens: issuer.tokens,
  } as const satisfies Omit<Job, "operation">;
  const addFirst = call === "verify";
  // What is verified has to be added first. That is not measured.
  if (addFirst) await generator.run({ ...job, operation: "add to verify" });
  const cpuUs = async () => {
    const readings = await Promise.all(asked.map((server) => server.read()));
    return readings.reduce((sum, reading) => sum + reading.cpuUs, 0);
  };
  const before = { node: await cpuUs(), database: cluster.cpuUs(), wal: await cluster.walBytes() };
  const load = await generator.run({ ...job, operation: call satisfies Operation | "login" });
  const each = (difference: number) => difference / load.requests;
  return {
    ...load,
    nodeUs: each((await cpuUs()) - before.node),
    databaseUs: each(cluster.cpuUs() - before.database),
    walBytes: each((await cluster.walBytes()) - before.wal),
  };
}

function report(rows: readonly Row[], sizes: Readonly<Record<string, readonly TableSize[]>>): void {
  tell("");
  const medians = rows.map(({ fleet, call, samples }) => {
    const of = (name: keyof Sample) => median(samples.map((sample) => sample[name]));
    const isPostgres = fleet !== "SQLite, 1 node";
    return {
      call,
      fleet,
      requestsPerSecond: of("requestsPerSecond"),
      p50Ms: of("p50Ms"),
      p99Ms: of("p99Ms"),
      nodeUs: of("nodeUs"),
      databaseUs: isPostgres ? of("databaseUs") : 0,
      walBytes: isPostgres ? of("walBytes") : 0,
    };
  });
  const { atATime, share, hasCeilings } = options;
  const limit = share < 1 ? `, which has ${share} of a core` : "";
  console.log(`PostgreSQL ${cluster.version}, fsync and synchronous_commit on`);
  console.log(
    `${atATime} requests at a time for each node${limit}; ceilings ${hasCeilings ? "on" : "off"}; a login is two`,
  );
  console.log(
    table([
      ["call", "where", "requests/s", "p50 ms", "p99 ms", "CPU us/request, nodes", "PostgreSQL", "WAL bytes"],
      ...medians.map((row) => [
        row.call,
        row.fleet,
        row.requestsPerSecond.toFixed(0),
        row.p50Ms.toFixed(1),
        row.p99Ms.toFixed(1),
        row.nodeUs.toFixed(0),
        row.databaseUs.toFixed(0),
        row.walBytes.toFixed(0),
      ]),
    ]),
  );
  for (const [engine, tables] of Object.entries(sizes)) {
    console.log(`\n${engine}`);
    console.log(
      table([
        ["table", "rows", "bytes a row", "and of indexes"],
        ...tables.map(({ table: name, rows: count, rowBytes, indexBytes }) => [
          name,
          count.toFixed(0),
          (rowBytes / count).toFixed(0),
          (indexBytes / count).toFixed(0),
        ]),
      ]),
    );
  }
  const ratios = called.map((call) => ratioOf(rows, call));
  console.log(`\n${ratiosTable(ratios)}`);
  const { machine, isPinned } = surroundings;
  saveJson(options.out, { time: new Date(), machine, isPinned, options, medians, sizes, ratios, rows });
  console.log(`\nwritten to ${options.out}`);
}

function ratioOf(rows: readonly Row[], call: Call): Ratio {
  const of = (fleet: Fleet["name"]) => rows.find((row) => row.call === call && row.fleet === fleet)!.samples;
  const [two, alone] = [of("PostgreSQL, 2 nodes"), of("PostgreSQL, 1 node")];
  const rate = (samples: readonly Sample[]) => median(samples.map((sample) => sample.requestsPerSecond));
  return {
    name: `${call}: 2 nodes : 1 node, requests/s`,
    value: rate(two) / rate(alone),
    byRound: median(two.map((sample, i) => sample.requestsPerSecond / alone[i]!.requestsPerSecond)),
    target: { atLeast: 1.6 },
  };
}
