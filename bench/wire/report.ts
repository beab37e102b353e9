import { table } from "../lib/table.ts";
import type { Row } from "./measure.ts";

export function rowsTable(rows: readonly Row[]): string {
  return table([
    ["server", "protocol", "HTTP", "requests/s", "p50 ms", "p99 ms", "CPU us/request", "least", "core"],
    ...rows.map(({ server, protocol, http, requestsPerSecond, p50Ms, p99Ms, cpuUs, leastCpuUs }) => [
      server,
      protocol,
      http,
      requestsPerSecond.toFixed(0),
      p50Ms.toFixed(2),
      p99Ms.toFixed(2),
      cpuUs.toFixed(1),
      leastCpuUs.toFixed(1),
      `${((requestsPerSecond * cpuUs) / 1e4).toFixed(0)}%`,
    ]),
  ]);
}
