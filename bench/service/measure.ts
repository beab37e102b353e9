import type { Load } from "../lib/load/process.ts";
import type { Operation } from "../lib/operations.ts";
import { type Durability, type Server, startServer } from "../lib/server.ts";
import type { Surroundings } from "../lib/testbed.ts";
import { median } from "../wire/measure.ts";
import { folderOf, type Target } from "./targets.ts";

export interface MeasureOptions {
  readonly concurrencies: readonly number[];
  readonly operations: readonly Operation[];
  readonly rounds: number;
  readonly runMs: number;
  readonly warmUpMs: number;
  /** Where each server leaves a CPU profile. */
  readonly profiles: string | undefined;
}

/** One measured run. */
export interface Sample extends Load {
  /** Of the server's process, in user and system, for each request. */
  readonly cpuUs: number;
}

/** A target, an operation and a concurrency, and the medians of their runs. */
export interface Row extends Sample {
  readonly target: string;
  readonly operation: Operation;
  readonly concurrency: number;
  readonly samples: readonly Sample[];
}

/** What is told of a process, over all its runs. */
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
 * Measures all targets, in rounds: one short run of each, and then again, so that what else the machine does hits all alike.
 * Each target has a process and a database of its own.
 *
 * @throws if a server ends or one reply is not that of a call that went well.
 */
export async function measure(
  targets: readonly Target[],
  options: MeasureOptions,
  surroundings: Surroundings,
): Promise<{ rows: Row[]; processes: ProcessRow[] }> {
  const { tell } = surroundings;
  const running: Running[] = [];
  try {
    for (const [index, target] of targets.entries()) {
      tell(`warm-up: ${target.name}`);
      running.push(await warmUp(target, index, options, surroundings));
    }
    const rows = new Map<string, Omit<Row, keyof Sample> & { samples: Sample[] }>();
    for (let round = 1; round <= options.rounds; round++) {
      for (const one of runsOf(running, options)) {
        const { operation, concurrency } = one;
        const target = one.running.target.name;
        const key = `${target}, ${operation}, ${concurrency} at a time`;
        tell(`round ${round} of ${options.rounds}: ${key}`);
        const row = rows.get(key) ?? { target, operation, concurrency, samples: [] };
        rows.set(key, row);
        row.samples.push(await run(one.running, operation, concurrency, options.runMs, surroundings));
      }
    }
    const processes: ProcessRow[] = [];
    for (const one of running) processes.push(await processRow(one));
    return { rows: [...rows.values()].map((row) => ({ ...row, ...medians(row.samples) })), processes };
  } finally {
    await Promise.all(running.map(({ server }) => server.stop()));
  }
}

/** What is compared is close in time. */
function* runsOf(running: readonly Running[], { concurrencies, operations }: MeasureOptions) {
  for (const operation of operations) {
    for (const concurrency of concurrencies) {
      for (const one of running) {
        if (one.target.operations.includes(operation)) yield { running: one, operation, concurrency };
      }
    }
  }
}

export async function warmUp(
  target: Target,
  index: number,
  { warmUpMs, operations, profiles }: Pick<MeasureOptions, "warmUpMs" | "operations" | "profiles">,
  surroundings: Surroundings,
): Promise<Running> {
  const command = target.command(folderOf(surroundings.folder, index), surroundings);
  const name = `${target.name.replace(/\W+/g, "-")}.cpuprofile`;
  const profiling = profiles ? ["--cpu-prof", `--cpu-prof-dir=${profiles}`, `--cpu-prof-name=${name}`] : [];
  const nodeOptions = [...command.nodeOptions, ...profiling];
  const server = await startServer({ ...command, nodeOptions }, surroundings.pin);
  try {
    const { rssBytes: idleBytes } = await server.read();
    const running = { target, server, idleBytes };
    const called = operations.filter((operation) => target.operations.includes(operation));
    for (const operation of called) await run(running, operation, 64, warmUpMs / called.length, surroundings);
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
  { generator, issuer }: Surroundings,
): Promise<Sample> {
  const { name, spelling } = target;
  const job = { server: name, ports: [server.port], spelling, concurrency, runMs, tokens: issuer.tokens };
  // What is verified has to be added first. That is not measured.
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

function medians(samples: readonly Sample[]): Sample {
  const of = (name: keyof Sample) => median(samples.map((sample) => sample[name]));
  return {
    requests: of("requests"),
    requestsPerSecond: of("requestsPerSecond"),
    p50Ms: of("p50Ms"),
    p99Ms: of("p99Ms"),
    cpuUs: of("cpuUs"),
    clientCore: of("clientCore"),
  };
}
