import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Pin } from "../lib/pin.ts";
import { type Case, nameOf } from "./cases.ts";
import { exchanges } from "./exchange.ts";
import { type Load, load } from "./h2load.ts";
import type { Options } from "./options.ts";
import { probe } from "./probe.ts";
import { type ServerProcess, startServer } from "./server-process.ts";

/** One measured run. */
export interface Sample extends Load {
  /** Of the server's process, in user and system, for each request. */
  readonly cpuUs: number;
}

/** A case and the medians of its runs. */
export interface Row extends Case, Sample {
  /** CPU of the run that the rest of the machine disturbed least. */
  readonly leastCpuUs: number;
  readonly samples: readonly Sample[];
}

interface Bench {
  readonly one: Case;
  readonly server: ServerProcess;
  readonly samples: Sample[];
  /** CPU of a request in the last run, in microseconds: it decides how many the next has. */
  cpuUs: number;
  load(requests: number): Promise<Load>;
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
        // While it was not asked, others have taken the caches.
        await run(bench, requestsIn(options.runMs / 4, bench.cpuUs));
        bench.samples.push(await run(bench, requestsIn(options.runMs, bench.cpuUs)));
      }
    }
    return benches.map(({ one, samples }) => {
      const leastCpuUs = Math.min(...samples.map((sample) => sample.cpuUs));
      return { ...one, ...medians(samples), leastCpuUs, samples };
    });
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
  // After 8 idle seconds V8 cleans up, and loses compiled code with it: the next run would cost up to four times as much.
  const server = await startServer(one, pin, ["--no-memory-reducer", ...profiling]);
  try {
    const exchange = exchanges[one.protocol];
    // The same request for all: who does not look at a token has to read it all the same.
    const headers = { authorization: `Bearer ${"x".repeat(450)}`, ...exchange.headers, ...server.headers };
    const replyBytes = await probe(server.port, one.http, exchange, headers);
    const { port } = server;
    const sent = { http: one.http, port, exchange, headers, replyBytes, folder, pin };
    const bench = {
      one,
      server,
      samples: [],
      cpuUs: 0,
      load: (requests: number) => load({ ...options, ...sent, requests }),
    };
    // A cold server tells nothing of how many requests fit: by doubling. In CPU time, since where others take the core,
    // a time on the clock compiles nothing.
    let usedMs = 0;
    for (let requests = 500; usedMs < options.warmUpMs; requests *= 2) {
      requests = Math.min(requests, requestsIn(Math.max(100, options.warmUpMs - usedMs), bench.cpuUs || 1));
      await run(bench, requests);
      usedMs += (requests * bench.cpuUs) / 1000;
    }
    return bench;
  } catch (error) {
    await server.stop();
    throw new Error(nameOf(one), { cause: error });
  }
}

async function run(bench: Bench, requests: number): Promise<Sample> {
  const before = await bench.server.cpuUs();
  const seen = await bench.load(requests);
  bench.cpuUs = ((await bench.server.cpuUs()) - before) / requests;
  return { ...seen, cpuUs: bench.cpuUs };
}

/** How many requests take the server this long. */
function requestsIn(cpuMs: number, cpuUs: number): number {
  return Math.max(500, Math.round((cpuMs * 1000) / cpuUs));
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function medians(samples: readonly Sample[]): Sample {
  return {
    requestsPerSecond: median(samples.map((sample) => sample.requestsPerSecond)),
    p50Ms: median(samples.map((sample) => sample.p50Ms)),
    p99Ms: median(samples.map((sample) => sample.p99Ms)),
    cpuUs: median(samples.map((sample) => sample.cpuUs)),
  };
}
