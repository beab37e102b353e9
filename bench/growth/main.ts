import { renameSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { fillDatabase, makeDatabase } from "../lib/database.ts";
import { readOptions, wholeNumber } from "../lib/options.ts";
import { saveResults, showStep } from "../lib/output.ts";
import { compare, median, type Ratio, ratiosTable } from "../lib/ratios.ts";
import { table } from "../lib/table.ts";
import { openTestbed } from "../lib/testbed.ts";
import type { Operation } from "../lib/workload.ts";
import { measure, run, warmUp } from "../service/measure.ts";
import { processesTable, rowsTable } from "../service/report.ts";
import { service, type Target } from "../service/targets.ts";

const usage = `npm run growth -w bench -- [options]

Measures the service with databases of several sizes.

  --sizes LIST     authenticators in the database (10000,1000000,10000000: 13 GB of disk)
  --rounds N       runs of each size (5)
  --run MS         length of a run (2000)
  --soak MINUTES   measure memory over time instead, with one database of the first size
  --out FILE       results as JSON (bench/results/growth.json)
`;

const defaults = {
  sizes: "10000,1000000,10000000",
  rounds: "5",
  run: "2000",
  soak: undefined,
  out: "bench/results/growth.json",
} as const;

const { sizes, rounds, runMs, soakMinutes, out } = readOptions(usage, defaults, (values) => ({
  sizes: values.sizes.split(",").map((size) => wholeNumber("sizes", size)),
  rounds: wholeNumber("rounds", values.rounds),
  runMs: wholeNumber("run", values.run),
  soakMinutes: values.soak === undefined ? undefined : wholeNumber("soak", values.soak),
  out: values.out,
}));
const concurrency = 64;
const operation: Operation = "add, code returned";
const warmUpOptions = { operations: [operation], warmUpMs: 4000, profiles: undefined };
/** Disk space of an authenticator, with its user and two events. */
const bytesEach = 1200;

using testbed = await openTestbed();
if (soakMinutes === undefined) await grow();
else await soak(soakMinutes);

interface SizedTarget {
  readonly size: number;
  readonly target: Target;
  /** Bytes of the authenticators with their indexes. */
  readonly rowBytes: number;
  /** Bytes of the file. */
  readonly bytes: number;
}

/** @throws if the disk is too small. */
async function makeTarget(size: number): Promise<SizedTarget> {
  showStep(`adding ${size} authenticators`);
  const { bavail, bsize } = statfsSync(testbed.folder);
  if (bavail * bsize < bytesEach * size + 1e9)
    throw new Error(`the disk has no room for ${size} authenticators`);
  const path = join(testbed.folder, `${size}.db`);
  await makeDatabase(path);
  const filled = fillDatabase(path, size);
  const name = `service, ${size.toLocaleString("en")} authenticators`;
  return { size, target: service(name, "connect", (to) => renameSync(path, to)), ...filled };
}

async function grow(): Promise<void> {
  const targets: SizedTarget[] = [];
  for (const size of sizes) targets.push(await makeTarget(size));
  const { rows, processes } = await measure(
    targets.map(({ target }) => target),
    { ...warmUpOptions, concurrencies: [concurrency], rounds, runMs },
    testbed,
  );
  showStep("");
  console.log(`${rowsTable(rows)}\n\n${processesTable(processes)}\n`);
  const bytes = targets.map(({ size, rowBytes, bytes }) => [
    size.toLocaleString("en"),
    (rowBytes / size).toFixed(0),
    (bytes / 1e6).toFixed(0),
  ]);
  console.log(table([["authenticators", "bytes each", "database MB"], ...bytes]));

  const [first, last] = [rows[0]!, rows.at(-1)!];
  const ratio: Ratio = {
    name: `${last.target} : ${first.target}, requests/s`,
    ...compare(last, first, "requestsPerSecond"),
    target: { atLeast: 0.8 },
  };
  if (rows.length > 1) console.log(`\n${ratiosTable([ratio])}`);
  saveResults(out, { machine: testbed.machine.name, rows, processes, bytes, ratio });
}

/** Reads the memory after each of many runs of ten seconds. */
async function soak(minutes: number): Promise<void> {
  const { target } = await makeTarget(sizes[0]!);
  const running = await warmUp(target, 0, warmUpOptions, testbed);
  const readings: {
    readonly minute: number;
    readonly rssBytes: number;
    readonly requestsPerSecond: number;
  }[] = [];
  try {
    const start = performance.now();
    for (let minute = 0; minute < minutes; ) {
      const { requestsPerSecond } = await run(running, operation, concurrency, 10_000, testbed);
      const { rssBytes } = await running.server.read();
      minute = (performance.now() - start) / 60_000;
      readings.push({ minute, rssBytes, requestsPerSecond });
      showStep(`minute ${minute.toFixed(1)} of ${minutes}: ${(rssBytes / 1e6).toFixed(0)} MB`);
    }
  } finally {
    await running.server.stop();
  }
  showStep("");
  const tenth = Math.ceil(readings.length / 10);
  const lines = Array.from({ length: Math.ceil(readings.length / tenth) }, (_, i) => {
    const part = readings.slice(i * tenth, (i + 1) * tenth);
    return [
      part.at(-1)!.minute.toFixed(1),
      (median(part.map(({ rssBytes }) => rssBytes)) / 1e6).toFixed(0),
      median(part.map(({ requestsPerSecond }) => requestsPerSecond)).toFixed(0),
    ];
  });
  console.log(table([["until minute", "RSS MB", "requests/s"], ...lines]));
  saveResults(out, { machine: testbed.machine.name, readings });
}
