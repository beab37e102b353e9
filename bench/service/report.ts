import { table } from "../lib/table.ts";
import type { ProcessRow, Row } from "./measure.ts";

export function rowsTable(rows: readonly Row[]): string {
  return table([
    [
      "call",
      "server",
      "at a time",
      "requests/s",
      "p50 ms",
      "p99 ms",
      "CPU us/request",
      "core",
      "client core",
    ],
    ...rows.map((row) => [
      row.operation,
      row.target,
      String(row.concurrency),
      row.requestsPerSecond.toFixed(0),
      row.p50Ms.toFixed(2),
      row.p99Ms.toFixed(2),
      row.cpuUs.toFixed(1),
      `${((row.requestsPerSecond * row.cpuUs) / 1e4).toFixed(0)}%`,
      `${(row.clientCore * 100).toFixed(0)}%`,
    ]),
  ]);
}

/** Memory, start time and durability of each server, as read inside its process. */
export function processesTable(processes: readonly ProcessRow[]): string {
  return table([
    ["server", "journal_mode", "synchronous", "wal_autocheckpoint", "start ms", "idle RSS MB", "peak RSS MB"],
    ...processes.map(({ target, durability, startMs, idleBytes, rssBytesMax }) => [
      target,
      durability?.journalMode ?? "",
      durability?.synchronous ?? "",
      String(durability?.walAutocheckpoint ?? ""),
      startMs.toFixed(0),
      (idleBytes / 1e6).toFixed(0),
      (rssBytesMax / 1e6).toFixed(0),
    ]),
  ]);
}
