import type { Load } from "../lib/load/process.ts";
import { showStep } from "../lib/output.ts";
import { medians } from "../lib/ratios.ts";
import { type Durability, type Server, startServer } from "../lib/server.ts";
import type { Testbed } from "../lib/testbed.ts";
import type { Operation } from "../lib/workload.ts";
import { makeTargetFolder, type Target } from "./targets.ts";

export interface MeasureOptions {
  readonly concurrencies: readonly number[];
  readonly operations: readonly Operation[];
  readonly rounds: number;
  readonly runMs: number;
  readonly warmUpMs: number;
  /** Folder for a CPU profile of each server. */
  readonly profiles: string | undefined;
}

/** One run. */
export interface Sample extends Load {
  /** User and system time of the server's process for each request, in microseconds. */
  readonly cpuUs: number;
}

/** Medians of the runs with one target, operation and concurrency. */
export interface Row extends Sample {
  readonly target: string;
  readonly operation: Operation;
  readonly concurrency: number;
  readonly samples: readonly Sample[];
}

/** Readings of a server's process after all runs. */
export interface ProcessRow {
  readonly target: string;
  readonly startMs: number;
  readonly idleBytes: number;
  readonly rssBytesMax: number;
  readonly durability: Durability | undefined;
}

export interface Running {
  readonly target: Target;
  readonly server: Server;
  readonly idleBytes: number;
}

/**
 * Measures the targets in rounds of one short run each, so that other load on the machine affects all of them alike. Each target
 * has its own process and database.
 *
 * @throws if a server exits, or at the first reply that is not a success.
 */
export async function measure(
  targets: readonly Target[],
  options: MeasureOptions,
  testbed: Testbed,
): Promise<{ rows: Row[]; processes: ProcessRow[] }> {
  const running: Running[] = [];
  try {
    for (const [index, target] of targets.entries()) {
      showStep(`warm-up: ${target.name}`);
      running.push(await warmUp(target, index, options, testbed));
    }
    const rows = new Map<string, Omit<Row, keyof Sample> & { samples: Sample[] }>();
    for (let round = 1; round <= options.rounds; round++) {
      for (const one of runsOf(running, options)) {
        const { operation, concurrency } = one;
        const target = one.running.target.name;
        const key = `${target}, ${operation}, ${concurrency} at a time`;
        showStep(`round ${round} of ${options.rounds}: ${key}`);
        const row = rows.get(key) ?? { target, operation, concurrency, samples: [] };
        rows.set(key, row);
        row.samples.push(await run(one.running, operation, concurrency, options.runMs, testbed));
      }
    }
    const processes: ProcessRow[] = [];
    for (const one of running) processes.push(await processRow(one));
    return { rows: [...rows.values()].map((row) => ({ ...row, ...medians(row.samples) })), processes };
  } finally {
    await Promise.all(running.map(({ server }) => server.stop()));
  }
}

/** The runs of a round. Those to be compared follow each other. */
function* runsOf(running: readonly Running[], { concurrencies, operations }: MeasureOptions) {
  for (const operation of operations) {
    for (const concurrency of concurrencies) {
      for (const one of running) {
        if (one.target.operations.includes(operation)) yield { running: one, operation, concurrency };
      }
    }
  }
}

/** Starts the server of a target and calls each operation until V8 has compiled it. */
export async function warmUp(
  target: Target,
  index: number,
  { warmUpMs, operations, profiles }: Pick<MeasureOptions, "warmUpMs" | "operations" | "profiles">,
  testbed: Testbed,
): Promise<Running> {
  const command = target.command(makeTargetFolder(testbed.folder, index), testbed);
  const name = `${target.name.replace(/\W+/g, "-")}.cpuprofile`;
  const profiling = profiles ? ["--cpu-prof", `--cpu-prof-dir=${profiles}`, `--cpu-prof-name=${name}`] : [];
  const nodeOptions = [...command.nodeOptions, ...profiling];
  const server = await startServer({ ...command, nodeOptions }, testbed.machine.pin);
  try {
    const { rssBytes: idleBytes } = await server.read();
    const running = { target, server, idleBytes };
    const called = operations.filter((operation) => target.operations.includes(operation));
    for (const operation of called) await run(running, operation, 64, warmUpMs / called.length, testbed);
    return running;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

export async function run(
  { target, server }: Running,
  operation: Operation,
  concurrency: number,
  runMs: number,
  { generator, issuer }: Testbed,
): Promise<Sample> {
  const { name, format } = target;
  const job = { server: name, ports: [server.port], format, concurrency, runMs, tokens: issuer.tokens };
  // Add the authenticators to verify first, unmeasured.
  if (operation === "verify") await generator.run({ ...job, operation: "add to verify" });
  const before = await server.read();
  const load = await generator.run({ ...job, operation });
  const { cpuUs } = await server.read();
  return { ...load, cpuUs: (cpuUs - before.cpuUs) / load.requests };
}

async function processRow({ target, server, idleBytes }: Running): Promise<ProcessRow> {
  const { rssBytesMax, durability } = await server.read();
  return { target: target.name, startMs: server.startMs, idleBytes, rssBytesMax, durability };
}
