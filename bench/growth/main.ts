import { renameSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fillDatabase, makeDatabase } from "../lib/database.ts";
import type { Operation } from "../lib/operations.ts";
import { ratiosTable, table } from "../lib/table.ts";
import { openSurroundings, readOptions, type Surroundings, saveJson } from "../lib/testbed.ts";
import { type MeasureOptions, measure, run, warmUp } from "../service/measure.ts";
import { wholeNumber } from "../service/options.ts";
import { processesTable, rowsTable } from "../service/report.ts";
import { service, type Target } from "../service/targets.ts";
import { median } from "../wire/measure.ts";
import type { Ratio } from "../wire/ratios.ts";

const usage = `npm run bench:growth -- [options]

  --sizes LIST     authenticators that are there at the start (10000,1000000,10000000: 13 GB of disk)
  --rounds N       measured runs of each size (5)
  --run MS         of a run (2000)
  --soak MINUTES   instead: one database of the first size under load, and its memory
  --out FILE       results as JSON (bench/results/growth.json)
`;

const { sizes, rounds, runMs, soakMinutes, out } = readOptions(parse, usage);
const atATime = 64;
const called: readonly Operation[] = ["add, code returned"];
const how = { concurrencies: [atATime], operations: called, warmUpMs: 4000, profiles: undefined } as const;
/** Of an authenticator, with its user and two events. */
const bytesEach = 1200;

using surroundings = await openSurroundings();
if (soakMinutes === undefined) await grow({ ...how, rounds, runMs });
else await soak(soakMinutes);

function parse(args: readonly string[]) {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      sizes: { type: "string", default: "10000,1000000,10000000" },
      rounds: { type: "string", default: "5" },
      run: { type: "string", default: "2000" },
      out: { type: "string", default: "bench/results/growth.json" },
      soak: text,
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  return {
    sizes: values.sizes.split(",").map((size) => wholeNumber("sizes", size)),
    rounds: wholeNumber("rounds", values.rounds),
    runMs: wholeNumber("run", values.run),
    soakMinutes: values.soak === undefined ? undefined : wholeNumber("soak", values.soak),
    out: values.out,
  };
}

interface Grown {
  readonly size: number;
  readonly target: Target;
  /** Of the rows of authenticators with their indexes. */
  readonly rowBytes: number;
  readonly bytes: number;
}

async function makeGrown({ folder, tell }: Surroundings, size: number): Promise<Grown> {
  tell(`${size} authenticators`);
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize < bytesEach * size + 1e9)
    throw new Error(`the disk has no room for ${size} authenticators`);
  const path = join(folder, `${size}.db`);
  await makeDatabase(path);
  const filled = fillDatabase(path, size);
  const name = `service, ${size.toLocaleString("en")} authenticators`;
  return { size, target: service(name, "connect", (to) => renameSync(path, to)), ...filled };
}

async function grow(options: MeasureOptions): Promise<void> {
  const grown: Grown[] = [];
  for (const size of sizes) grown.push(await makeGrown(surroundings, size));
  const { rows, processes } = await measure(
    grown.map(({ target }) => target),
    options,
    surroundings,
  );
  surroundings.tell("");
  console.log(`${rowsTable(rows)}\n\n${processesTable(processes)}\n`);
  const bytes = grown.map(({ size, rowBytes, bytes }) => [
    size.toLocaleString("en"),
    (rowBytes / size).toFixed(0),
    (bytes / 1e6).toFixed(0),
  ]);
  console.log(table([["authenticators", "bytes each", "database MB"], ...bytes]));

  const [first, last] = [rows[0]!, rows.at(-1)!];
  const byRound = last.samples.map(
    (sample, i) => sample.requestsPerSecond / first.samples[i]!.requestsPerSecond,
  );
  const ratio: Ratio = {
    name: `${last.target} : ${first.target}, requests/s`,
    value: last.requestsPerSecond / first.requestsPerSecond,
    byRound: median(byRound),
    target: { atLeast: 0.8 },
  };
  if (rows.length > 1) console.log(`\n${ratiosTable([ratio])}`);
  saveJson(out, { time: new Date(), machine: surroundings.machine, rows, processes, bytes, ratio });
  console.log(`\nwritten to ${out}`);
}

/** Memory is read after each run of ten seconds. */
async function soak(minutes: number): Promise<void> {
  const { target } = await makeGrown(surroundings, sizes[0]!);
  const running = await warmUp(target, 0, how, surroundings);
  const readings: {
    readonly minute: number;
    readonly rssBytes: number;
    readonly requestsPerSecond: number;
  }[] = [];
  try {
    const start = performance.now();
    for (let minute = 0; minute < minutes; ) {
      const { requestsPerSecond } = await run(running, called[0]!, atATime, 10_000, surroundings);
      const { rssBytes } = await running.server.read();
      minute = (performance.now() - start) / 60_000;
      readings.push({ minute, rssBytes, requestsPerSecond });
      surroundings.tell(`minute ${minute.toFixed(1)} of ${minutes}: ${(rssBytes / 1e6).toFixed(0)} MB`);
    }
  } finally {
    await running.server.stop();
  }
  surroundings.tell("");
  const tenth = Math.ceil(readings.length / 10);
  const lines = Array.from({ length: Math.ceil(readings.length / tenth) }, (_, i) => {
    const part = readings.slice(i * tenth, (i + 1) * tenth);
    return [
      part.at(-1)!.minute.toFixed(1),
      (median(part.map(({ rssBytes }) => rssBytes)) / 1e6).toFixed(0),
      median(part.map(({ requestsPerSecond }) => requestsPerSecond)).toFixed(0),
    ];
  });
  console.log(table([["up to minute", "RSS MB", "requests/s"], ...lines]));
  saveJson(out, { time: new Date(), machine: surroundings.machine, readings });
  console.log(`\nwritten to ${out}`);
}
