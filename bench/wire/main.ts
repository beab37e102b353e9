import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname } from "node:path";
import { clientCore, pinBy, whyUnpinned } from "../lib/pin.ts";
import { ratiosTable, rowsTable } from "../lib/table.ts";
import { loadGenerator } from "./h2load.ts";
import { measure, type Row } from "./measure.ts";
import { type Options, parseOptions, usage } from "./options.ts";
import { isReached, ratiosOf } from "./ratios.ts";

const prepared = prepare();
if (prepared === "help") process.stdout.write(usage);
else await bench(prepared.options, prepared.generator);

/** Ends the process where there is something to be put right first. */
function prepare() {
  try {
    const options = parseOptions(process.argv.slice(2));
    return options === "help" ? options : { options, generator: loadGenerator() };
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(2);
  }
}

async function bench(options: Options, generator: string): Promise<void> {
  const unpinned = whyUnpinned();
  // The bench reads logs between the runs: on the client's side too.
  if (unpinned === undefined)
    spawnSync("taskset", ["-a", "-c", "-p", String(clientCore), String(process.pid)]);
  const machine = `Node ${process.version}, ${cpus()[0]?.model ?? "unknown CPU"}, load by ${generator}`;
  const { connections, sessions, streams, rounds, out } = options;
  console.log(machine);
  console.log(unpinned === undefined ? "server and client pinned to a core each" : `not pinned: ${unpinned}`);
  console.log(
    `HTTP/1.1: ${connections} connections. HTTP/2: ${sessions} connections with ${streams} streams. Medians of ${rounds}.\n`,
  );

  const rows = await measure(options, pinBy(unpinned === undefined), showStep);
  showStep("");
  const ratios = ratiosOf(rows);
  const targets = ratios.filter(({ target }) => target !== undefined);
  const others = ratios.filter(({ target }) => target === undefined);
  console.log(rowsTable(rows));
  if (targets.length > 0) console.log(`\n${ratiosTable(targets)}`);
  if (others.length > 0) console.log(`\nFor information:\n\n${ratiosTable(others)}`);

  const isPinned = unpinned === undefined;
  save(out, {
    time: new Date(),
    machine,
    isPinned,
    options,
    rows,
    ratios: ratios.map((ratio) => ({ ...ratio, isReached: isReached(ratio) })),
  });
  console.log(`\nwritten to ${out}`);
}

function save(path: string, results: { readonly rows: readonly Row[] } & Record<string, unknown>): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(results, null, 2)}\n`);
}

/** On a terminal, one line that is written over. */
function showStep(step: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${step}`);
}
