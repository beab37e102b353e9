import { join } from "node:path";
import { makeDatabase } from "../lib/database.ts";
import { ratiosTable } from "../lib/table.ts";
import { openSurroundings, readOptions, save, saveJson } from "../lib/testbed.ts";
import { isReached } from "../wire/ratios.ts";
import { measure } from "./measure.ts";
import { parseOptions, usage } from "./options.ts";
import { installPeers } from "./peers.ts";
import { plotOf } from "./plot.ts";
import { ratiosOf } from "./ratios.ts";
import { processesTable, rowsTable } from "./report.ts";
import { serviceSettings, targetsOn } from "./targets.ts";

const options = readOptions(parseOptions, usage);
const { rounds, runMs, out, plot, named, ...how } = options;
installPeers();
using surroundings = await openSurroundings();
const { machine, isPinned } = surroundings;
for (const [name, value] of Object.entries(serviceSettings)) console.log(`${name}=${value}`);
console.log(`Medians of ${rounds} runs of ${runMs} ms.\n`);

surroundings.tell("the database");
const database = join(surroundings.folder, "users.db");
await makeDatabase(database);
const targets = named(targetsOn(database));
const { rows, processes } = await measure(targets, options, surroundings);
surroundings.tell("");

const ratios = ratiosOf(rows, processes);
console.log(`${rowsTable(rows)}\n\n${processesTable(processes)}`);
if (ratios.length > 0) console.log(`\n${ratiosTable(ratios)}`);
saveJson(out, {
  time: new Date(),
  machine,
  isPinned,
  options: { rounds, runMs, ...how },
  settings: serviceSettings,
  rows,
  processes,
  ratios: ratios.map((ratio) => ({ ...ratio, isReached: isReached(ratio) })),
});
console.log(`\nwritten to ${out}`);
if (plot !== undefined) {
  save(plot, plotOf(rows, `${machine}; medians of ${rounds} runs; all durable (FULL).`));
  console.log(`drawn in ${plot}`);
}
