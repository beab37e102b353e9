import { compare, type Ratio } from "../lib/ratios.ts";
import { type Operation, operations } from "../lib/workload.ts";
import type { ProcessRow, Row } from "./measure.ts";
import { names } from "./targets.ts";

/** The ratios with their targets, at 64 requests at a time. Ratios of rows that were not measured are left out. */
export function ratiosOf(rows: readonly Row[], processes: readonly ProcessRow[]): Ratio[] {
  const find = (target: string, operation: Operation) =>
    rows.find((row) => row.target === target && row.operation === operation && row.concurrency === 64);

  function* toOther(
    other: string,
    by: "requestsPerSecond" | "p99Ms",
    target: Ratio["target"],
  ): Generator<Ratio> {
    for (const operation of operations) {
      const ours = find(names.connect, operation);
      // better-auth mails every code.
      const isAlwaysMailed = other === names.betterAuth && operation === "add, code returned";
      const theirs = find(other, isAlwaysMailed ? "add, code mailed" : operation);
      if (!ours || !theirs) continue;
      const unit = by === "p99Ms" ? "p99" : "requests/s";
      yield { name: `${operation}: service : ${other}, ${unit}`, ...compare(ours, theirs, by), target };
    }
  }

  function* memory(): Generator<Ratio> {
    for (const { target, rssBytesMax } of processes) {
      if (!target.startsWith("service")) continue;
      const value = rssBytesMax / 1e6;
      yield { name: `${target}: peak RSS, MB`, value, byRound: value, target: { atMost: 200 } };
    }
  }
  return [
    ...toOther(names.floor, "requestsPerSecond", { atLeast: 0.7 }),
    ...toOther(names.connectNode, "requestsPerSecond", { atLeast: 12 }),
    ...toOther(names.fastify, "requestsPerSecond", { atLeast: 5 }),
    ...toOther(names.betterAuth, "requestsPerSecond", { atLeast: 25 }),
    ...toOther(names.connectNode, "p99Ms", { atMost: 0.25 }),
    ...memory(),
  ];
}
