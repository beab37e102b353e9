import { join } from "node:path";
import { makeDatabase } from "../lib/database.ts";
import { save, saveResults, showStep } from "../lib/output.ts";
import { isReached, ratiosTable } from "../lib/ratios.ts";
import { openTestbed } from "../lib/testbed.ts";
import { measure } from "./measure.ts";
import { serviceOptions } from "./options.ts";
import { installPeers } from "./peers.ts";
import { plotOf } from "./plot.ts";
import { ratiosOf } from "./ratios.ts";
import { processesTable, rowsTable } from "./report.ts";
import { serviceSettings, targetsOn } from "./targets.ts";

const options = serviceOptions();
const { rounds, runMs, out, plot, select, ...others } = options;
installPeers();
using testbed = await openTestbed();
for (const [name, value] of Object.entries(serviceSettings)) console.log(`${name}=${value}`);
console.log(`Medians of ${rounds} runs of ${runMs} ms.\n`);

showStep("creating the database");
const database = join(testbed.folder, "users.db");
await makeDatabase(database);
const { rows, processes } = await measure(select(targetsOn(database)), options, testbed);
showStep("");

const ratios = ratiosOf(rows, processes);
console.log(`${rowsTable(rows)}\n\n${processesTable(processes)}`);
if (ratios.length > 0) console.log(`\n${ratiosTable(ratios)}`);
const { name: machine, isPinned } = testbed.machine;
saveResults(out, {
  machine,
  isPinned,
  options: { rounds, runMs, ...others },
  settings: serviceSettings,
  rows,
  processes,
  ratios: ratios.map((ratio) => ({ ...ratio, isReached: isReached(ratio) })),
});
if (plot !== undefined) {
  save(plot, plotOf(rows, `${machine}; medians of ${rounds} runs; all durable (FULL).`));
  console.log(`plotted in ${plot}`);
}
