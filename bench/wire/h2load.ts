import { execFile, spawnSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { clientCore, type Pin } from "../lib/machine.ts";
import type { HttpVersion } from "./cases.ts";
import type { Exchange } from "./exchange.ts";

/** Measurements of h2load. */
export interface Load {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface LoadOptions {
  readonly port: number;
  readonly http: HttpVersion;
  readonly exchange: Exchange;
  readonly headers: Readonly<Record<string, string>>;
  readonly requests: number;
  /** Connections with HTTP/1.1, each with one request at a time. */
  readonly connections: number;
  /** Connections with HTTP/2, and concurrent streams of each. */
  readonly sessions: number;
  readonly streams: number;
  /** Length of the body of a correct reply. */
  readonly replyBytes: number;
  /** For the input and the log of h2load. */
  readonly folder: string;
  readonly pin: Pin;
}

const run = promisify(execFile);

/** The version of h2load, or undefined if it is not installed. */
export function h2loadVersion(): string | undefined {
  const { status, stdout } = spawnSync("h2load", ["--version"], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}

/**
 * Sends one request many times with h2load, on new connections.
 *
 * @throws unless every reply has status 200 and the length of the correct one: gRPC errors have status 200, too, but no message.
 */
export async function load(options: LoadOptions): Promise<Load> {
  const { http, exchange, headers, port, requests, replyBytes, folder, pin } = options;
  const bodyFile = join(folder, "body");
  const logFile = join(folder, "log");
  writeFileSync(bodyFile, exchange.body);
  // h2load would append to it.
  rmSync(logFile, { force: true });
  const inFlight =
    http === "http1"
      ? ["--h1", `-c${options.connections}`]
      : [`-c${options.sessions}`, `-m${options.streams}`];
  const [command, ...args] = pin(clientCore, [
    "h2load",
    "-t1",
    ...inFlight,
    `-n${requests}`,
    `-d${bodyFile}`,
    `--log-file=${logFile}`,
    ...Object.entries(headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]),
    `http://127.0.0.1:${port}${exchange.path}`,
  ]);
  const { stdout } = await run(command, args, { timeout: 120_000, maxBuffer: 1024 * 1024 });

  const succeeded = Number(/, (\d+) succeeded, 0 failed/.exec(stdout)?.[1]);
  const ok = Number(/^status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx/m.exec(stdout)?.[1]);
  const bytes = Number(/\((\d+)\) data$/m.exec(stdout)?.[1]);
  if (succeeded !== requests || ok !== requests || bytes !== requests * replyBytes) {
    throw new Error(`some replies were wrong: expected ${requests} of ${replyBytes} bytes\n${stdout}`);
  }
  const requestsPerSecond = Number(/^finished in .*, ([\d.]+) req\/s/m.exec(stdout)?.[1]);
  return { requestsPerSecond, ...latencies(readFileSync(logFile, "utf8")) };
}

/** Each line has the start of a request, its status and its duration in microseconds. */
function latencies(log: string): { p50Ms: number; p99Ms: number } {
  const sorted = Float64Array.from(log.trimEnd().split("\n"), (line) => Number(line.split("\t")[2])).sort();
  const at = (share: number) => (sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN) / 1000;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}
