import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { copyDatabase, makeDatabase } from "../lib/database.ts";
import { clientCore, serverCore } from "../lib/machine.ts";
import { saveResults, showStep } from "../lib/output.ts";
import { ratiosTable } from "../lib/ratios.ts";
import { type Server, startServer } from "../lib/server.ts";
import { openTestbed } from "../lib/testbed.ts";
import { makeSecrets, serve } from "../service/targets.ts";
import { startCluster } from "./cluster.ts";
import { calls, type Fleet, measure, run } from "./measure.ts";
import { nodesOptions } from "./options.ts";
import { ratiosOf, rowsTable, sizesTable } from "./report.ts";
import { limitShare } from "./share.ts";
import { sqliteSizes } from "./sqlite-sizes.ts";

const options = nodesOptions();
const { concurrency, share, hasSharedLimits, warmUpMs } = options;
using testbed = await openTestbed();

showStep("creating the databases");
await using cluster = await startCluster();
const usersPath = join(testbed.folder, "users.db");
await makeDatabase(usersPath);
const sqliteFolder = join(testbed.folder, "sqlite");
mkdirSync(sqliteFolder);
const sqlitePath = join(sqliteFolder, "countersign.db");
copyDatabase(usersPath, sqlitePath);

const settings = {
  ...makeSecrets(),
  COUNTERSIGN_PROOF_AUDIENCES: "*",
  ...(hasSharedLimits
    ? {}
    : { COUNTERSIGN_CLIENT_MAILS_PER_HOUR_MAX: "off", COUNTERSIGN_ALL_MAILS_PER_HOUR_MAX: "off" }),
};
const servers: Server[] = [];
const removeLimits: (() => void)[] = [];

try {
  const sqlite = await start("sqlite", serverCore, {});
  const onCluster = { COUNTERSIGN_DATABASE_URL: cluster.url };
  const first = await start("node-1", serverCore, onCluster);
  const second = await start("node-2", clientCore, onCluster);
  if (share < 1) for (const { pid } of [first, second]) removeLimits.push(limitShare(pid, share));
  const fleets: Fleet[] = [
    { name: "SQLite, 1 node", database: "SQLite", servers: [sqlite] },
    { name: "PostgreSQL, 1 node", database: "PostgreSQL", servers: [first] },
    { name: "PostgreSQL, 2 nodes", database: "PostgreSQL", servers: [first, second] },
  ];
  for (const fleet of fleets.filter(({ name }) => name !== "PostgreSQL, 1 node"))
    for (const call of calls) await run(fleet, call, concurrency, warmUpMs, cluster, testbed);
  // Autovacuum does this within a minute. Until then PostgreSQL plans for empty tables.
  await cluster.analyze();
  const rows = await measure(fleets, cluster, testbed, options);
  showStep("");
  await sqlite.stop();
  const sizes = { PostgreSQL: await cluster.sizes(), SQLite: sqliteSizes(sqlitePath) };
  const ratios = ratiosOf(rows);

  console.log(`PostgreSQL ${cluster.version}, fsync and synchronous_commit on`);
  console.log(
    `${concurrency} requests at a time for each node, which has ${share} of a core; shared limits ${hasSharedLimits ? "on" : "off"}; a login is two requests`,
  );
  console.log(rowsTable(rows));
  for (const [engine, tables] of Object.entries(sizes)) console.log(`\n${engine}\n${sizesTable(tables)}`);
  console.log(`\n${ratiosTable(ratios)}`);
  const { name: machine, isPinned } = testbed.machine;
  const medians = rows.map(({ samples, ...row }) => row);
  saveResults(options.out, { machine, isPinned, options, medians, sizes, ratios, rows });
} finally {
  await Promise.all(servers.map((server) => server.stop()));
  for (const removeLimit of removeLimits) removeLimit();
}

async function start(
  name: string,
  core: number,
  ownSettings: Readonly<Record<string, string>>,
): Promise<Server> {
  const folder = join(testbed.folder, name);
  mkdirSync(folder, { recursive: true });
  const command = serve(testbed, { COUNTERSIGN_DATA_DIR: folder, ...settings, ...ownSettings });
  const server = await startServer(command, testbed.machine.pin, core);
  servers.push(server);
  return server;
}
