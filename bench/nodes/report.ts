import { compare, type Ratio } from "../lib/ratios.ts";
import { table } from "../lib/table.ts";
import type { TableSize } from "./cluster.ts";
import { calls, type Fleet, type Row } from "./measure.ts";

export function rowsTable(rows: readonly Row[]): string {
  return table([
    ["call", "where", "requests/s", "p50 ms", "p99 ms", "CPU us/request, nodes", "PostgreSQL", "WAL bytes"],
    ...rows.map((row) => [
      row.call,
      row.fleet,
      row.requestsPerSecond.toFixed(0),
      row.p50Ms.toFixed(1),
      row.p99Ms.toFixed(1),
      row.nodeUs.toFixed(0),
      row.databaseUs.toFixed(0),
      row.walBytes.toFixed(0),
    ]),
  ]);
}

export function sizesTable(sizes: readonly TableSize[]): string {
  return table([
    ["table", "rows", "bytes/row", "index bytes/row"],
    ...sizes.map(({ table: name, rows, rowBytes, indexBytes }) => [
      name,
      rows.toFixed(0),
      (rowBytes / rows).toFixed(0),
      (indexBytes / rows).toFixed(0),
    ]),
  ]);
}

/** What a second node adds, for each call. */
export function ratiosOf(rows: readonly Row[]): Ratio[] {
  return calls.map((call) => {
    const find = (fleet: Fleet["name"]) => rows.find((row) => row.call === call && row.fleet === fleet)!;
    return {
      name: `${call}: 2 nodes : 1 node, requests/s`,
      ...compare(find("PostgreSQL, 2 nodes"), find("PostgreSQL, 1 node"), "requestsPerSecond"),
      target: { atLeast: 1.6 },
    };
  });
}
