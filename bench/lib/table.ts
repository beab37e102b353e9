import type { Row } from "../wire/measure.ts";
import { isReached, type Ratio } from "../wire/ratios.ts";

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

export function ratiosTable(ratios: readonly Ratio[]): string {
  return table([
    ["ratio", "medians", "by round", "target", ""],
    ...ratios.map((ratio) => [
      ratio.name,
      ratio.value.toFixed(2),
      ratio.byRound.toFixed(2),
      targetText(ratio),
      verdict(ratio),
    ]),
  ]);
}

function targetText({ target }: Ratio): string {
  if (target === undefined) return "";
  return "atLeast" in target ? `>= ${target.atLeast}` : `<= ${target.atMost}`;
}

function verdict(ratio: Ratio): string {
  const reached = isReached(ratio);
  if (reached === undefined) return "";
  return reached ? "reached" : "NOT REACHED";
}

/** Columns of numbers to the right, the others to the left. The first line is the head. */
export function table(lines: readonly (readonly string[])[]): string {
  const [head = [], ...body] = lines;
  const width = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const isNumeric = head.map((_, column) => body.every((line) => /^[\d.]+%?$/.test(line[column] ?? "")));
  const pad = (cell: string, column: number) =>
    isNumeric[column] ? cell.padStart(width[column]!) : cell.padEnd(width[column]!);
  return lines.map((line) => line.map(pad).join("  ").trimEnd()).join("\n");
}
