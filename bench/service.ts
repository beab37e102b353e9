import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join, resolve } from "node:path";
import { clientCore, pinBy, whyUnpinned } from "./pin.ts";
import { isReached } from "./ratios.ts";
import { ratiosTable } from "./report.ts";
import { makeDatabase } from "./service/database.ts";
import { startIssuer } from "./service/issuer.ts";
import { startLoadGenerator } from "./service/load.ts";
import { measure } from "./service/measure.ts";
import { type Options, parseOptions, usage } from "./service/options.ts";
import { installPeers } from "./service/peers.ts";
import { plotOf } from "./service/plot.ts";
import { ratiosOf } from "./service/ratios.ts";
import { processesTable, rowsTable } from "./service/report.ts";
import { startSilentRelay } from "./service/silent-relay.ts";
import { serviceSettings } from "./service/targets.ts";

const options = readOptions();
if (options === "help") process.stdout.write(usage);
else await bench(options);

/** Ends the process where there is something to be put right first. */
function readOptions() {
  try {
    return parseOptions(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(2);
  }
}

async function bench(options: Options): Promise<void> {
  installPeers();
  const unpinned = whyUnpinned();
  if (unpinned === undefined)
    spawnSync("taskset", ["-a", "-c", "-p", String(clientCore), String(process.pid)]);
  const machine = `Node ${process.version}, ${cpus()[0]?.model ?? "unknown CPU"}`;
  console.log(machine);
  console.log(unpinned === undefined ? "server and client pinned to a core each" : `not pinned: ${unpinned}`);
  for (const [name, value] of Object.entries(serviceSettings)) console.log(`${name}=${value}`);
  console.log(`Medians of ${options.rounds} runs of ${options.runMs} ms.\n`);

  const folder = mkdtempSync(join(resolve(process.env.TMPDIR ?? "/tmp"), "countersign-bench-"));
  const issuer = await startIssuer(16);
  const relay = await startSilentRelay();
  const pin = pinBy(unpinned === undefined);
  const generator = startLoadGenerator(pin);
  try {
    showStep("the database");
    const database = join(folder, "users.db");
    await makeDatabase(database);
    const { smtpUrl } = relay;
    const surroundings = { folder, database, issuer, smtpUrl, generator, pin, tell: showStep };
    const { rows, processes } = await measure(options.targets, options, surroundings);
    showStep("");
    const ratios = ratiosOf(rows, processes);
    console.log(`${rowsTable(rows)}\n\n${processesTable(processes)}`);
    if (ratios.length > 0) console.log(`\n${ratiosTable(ratios)}`);
    const judged = ratios.map((ratio) => ({ ...ratio, isReached: isReached(ratio) }));
    const { targets: _, ...told } = options;
    saveJson(options.out, {
      time: new Date(),
      machine,
      isPinned: unpinned === undefined,
      options: told,
      rows,
      processes,
      ratios: judged,
    });
    console.log(`\nwritten to ${options.out}`);
    if (options.plot === undefined) return;
    save(options.plot, plotOf(rows, `${machine}; medians of ${options.rounds} runs; all durable (FULL).`));
    console.log(`drawn in ${options.plot}`);
  } finally {
    generator.stop();
    issuer.close();
    relay.close();
    rmSync(folder, { recursive: true });
  }
}

function saveJson(path: string, results: object): void {
  save(path, `${JSON.stringify(results, null, 2)}\n`);
}

function save(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** On a terminal, one line that is written over. */
function showStep(step: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${step}`);
}
