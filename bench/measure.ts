import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Case, nameOf } from "./cases.ts";
import { exchanges } from "./exchange.ts";
import { type Load, load } from "./load.ts";
import type { Options } from "./options.ts";
import type { Pin } from "./pin.ts";
import { probe } from "./probe.ts";
import { type ServerProcess, startServer } from "./server-process.ts";

/** One measured run. */
export interface Sample extends Load {
  /** Of the server's process, in user and system, for each request. */
  readonly cpuUs: number;
}

/** A case and the medians of its runs. */
export interface Row extends Case, Sample {
  readonly samples: readonly Sample[];
}

interface Bench {
  readonly one: Case;
  readonly server: ServerProcess;
  readonly samples: Sample[];
  /** Of the last run: it decides how many requests the next has. */
  requestsPerSecond: number;
  run(requests: number): Promise<Load>;
}

/**
 * Measures all cases, in rounds: one short run of each, and then again, so that what else the machine does hits all
 * alike. Each case has a process of its own, so that it reads the same alone and among others.
 *
 * @throws if a server ends or any reply is wrong.
 */
export async function measure(options: Options, pin: Pin, tell: (step: string) => void): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), "countersign-bench-"));
  const benches: Bench[] = [];
  try {
    for (const one of options.cases) {
      tell(`warm-up: ${nameOf(one)}`);
      benches.push(await warmUp(one, options, pin, folder));
    }
    for (let round = 1; round <= options.rounds; round += 1) {
      for (const bench of benches) {
        tell(`round ${round} of ${options.rounds}: ${nameOf(bench.one)}`);
        bench.samples.push(await sample(bench, options.runMs));
      }
    }
    return benches.map(({ one, samples }) => ({ ...one, ...medians(samples), samples }));
  } finally {
    await Promise.all(benches.map(({ server }) => server.stop()));
    rmSync(folder, { recursive: true });
  }
}

/** Starts a server, looks whether it answers as it must, and has it compile what it runs. */
async function warmUp(one: Case, options: Options, pin: Pin, folder: string): Promise<Bench> {
  const { profiles } = options;
  const name = nameOf(one).replaceAll(" ", "-");
  const profiling = profiles
    ? ["--cpu-prof", `--cpu-prof-dir=${profiles}`, `--cpu-prof-name=${name}.cpuprofile`]
    : [];
  const server = await startServer(one, pin, profiling);
  try {
    const exchange = exchanges[one.protocol];
    const headers = { ...exchange.headers, ...server.headers };
    const replyBytes = await probe(server.port, one.http, exchange, headers);
    const { port } = server;
    const run = (requests: number) =>
      load({ ...options, http: one.http, port, exchange, headers, requests, replyBytes, folder, pin });
    // A cold server tells nothing of how many requests fit: by doubling.
    const endMs = performance.now() + options.warmUpMs;
    let requests = 500;
    let requestsPerSecond = 0;
    do {
      ({ requestsPerSecond } = await run(requests));
      requests = Math.min(
        requests * 2,
        requestsIn(requestsPerSecond, Math.max(100, endMs - performance.now())),
      );
    } while (performance.now() < endMs);
    return { one, server, samples: [], requestsPerSecond, run };
  } catch (error) {
    await server.stop();
    throw new Error(nameOf(one), { cause: error });
  }
}

async function sample(bench: Bench, runMs: number): Promise<Sample> {
  const requests = requestsIn(bench.requestsPerSecond, runMs);
  const before = await bench.server.cpuUs();
  const seen = await bench.run(requests);
  const cpuUs = ((await bench.server.cpuUs()) - before) / requests;
  bench.requestsPerSecond = seen.requestsPerSecond;
  return { ...seen, cpuUs };
}

function requestsIn(requestsPerSecond: number, ms: number): number {
  return Math.max(500, Math.round((requestsPerSecond * ms) / 1000));
}

function medians(samples: readonly Sample[]): Sample {
  const of = (pick: (sample: Sample) => number) => {
    const sorted = samples.map(pick).sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  };
  return {
    requestsPerSecond: of((sample) => sample.requestsPerSecond),
    p50Ms: of((sample) => sample.p50Ms),
    p99Ms: of((sample) => sample.p99Ms),
    cpuUs: of((sample) => sample.cpuUs),
  };
}
