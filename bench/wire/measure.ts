import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Pin } from "../lib/machine.ts";
import { showStep } from "../lib/output.ts";
import { medians } from "../lib/ratios.ts";
import { type Case, nameOf } from "./cases.ts";
import { exchanges } from "./exchange.ts";
import { type Load, load } from "./h2load.ts";
import type { Options } from "./options.ts";
import { probe } from "./probe.ts";
import { type ServerProcess, startServer } from "./server-process.ts";

/** One run. */
export interface Sample extends Load {
  /** User and system time of the server's process for each request, in microseconds. */
  readonly cpuUs: number;
}

/** A case and the medians of its runs. */
export interface Row extends Case, Sample {
  /** `cpuUs` of the best run, the one least disturbed by other processes. */
  readonly leastCpuUs: number;
  readonly samples: readonly Sample[];
}

interface Bench {
  readonly one: Case;
  readonly server: ServerProcess;
  readonly samples: Sample[];
  /** CPU time of a request in the last run, in microseconds: determines the number of requests of the next. */
  cpuUs: number;
  load(requests: number): Promise<Load>;
}

/**
 * Measures the cases in rounds of one short run each, so that other load on the machine affects all of them alike. Each case has its
 * own process, so that a row doesn't depend on which others are measured.
 *
 * @throws if a server exits or a reply is wrong.
 */
export async function measure(options: Options, pin: Pin): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), "countersign-bench-"));
  const benches: Bench[] = [];
  try {
    for (const one of options.cases) {
      showStep(`warm-up: ${nameOf(one)}`);
      benches.push(await warmUp(one, options, pin, folder));
    }
    for (let round = 1; round <= options.rounds; round += 1) {
      for (const bench of benches) {
        showStep(`round ${round} of ${options.rounds}: ${nameOf(bench.one)}`);
        // Refill the caches, which other servers have used since.
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

/** Starts a server, checks one reply completely, and sends requests until V8 has compiled the code. */
async function warmUp(one: Case, options: Options, pin: Pin, folder: string): Promise<Bench> {
  const { profiles } = options;
  const name = nameOf(one).replaceAll(" ", "-");
  const profiling = profiles
    ? ["--cpu-prof", `--cpu-prof-dir=${profiles}`, `--cpu-prof-name=${name}.cpuprofile`]
    : [];
  // V8 cleans up after 8 idle seconds and discards compiled code with it: the next run would cost up to four times as much.
  const server = await startServer(one, pin, ["--no-memory-reducer", ...profiling]);
  try {
    const exchange = exchanges[one.protocol];
    // All servers get the same request: those that ignore the token have to read it, too.
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
    // Double the requests, since the cost of one is unknown while the server is cold. Measure the warm-up in CPU time: on a busy
    // machine, time on the clock may pass without anything being compiled.
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

/** How many requests use that much CPU time. */
function requestsIn(cpuMs: number, cpuUs: number): number {
  return Math.max(500, Math.round((cpuMs * 1000) / cpuUs));
}
