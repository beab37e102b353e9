import type { Operation } from "../lib/operations.ts";
import { median } from "../wire/measure.ts";
import type { Ratio } from "../wire/ratios.ts";
import type { ProcessRow, Row } from "./measure.ts";
import { names } from "./targets.ts";

/** The targets of issue 6, "To reach", at 64 requests at a time. Without those whose rows are missing. */
export function ratiosOf(rows: readonly Row[], processes: readonly ProcessRow[]): Ratio[] {
  const find = (target: string, operation: Operation) =>
    rows.find((row) => row.target === target && row.operation === operation && row.concurrency === 64);

  function* toOther(
    other: string,
    by: "requestsPerSecond" | "p99Ms",
    target: Ratio["target"],
  ): Generator<Ratio> {
    for (const operation of ["add, code returned", "add, code mailed", "verify"] as const) {
      const ours = find(names.connect, operation);
      // better-auth mails every code.
      const isMailedAlways = other === names.betterAuth && operation === "add, code returned";
      const theirs = find(other, isMailedAlways ? "add, code mailed" : operation);
      if (!ours || !theirs) continue;
      const what = by === "p99Ms" ? "p99" : "requests/s";
      yield { name: `${operation}: service : ${other}, ${what}`, ...divide(ours, theirs, by), target };
    }
  }

  function* memory(): Generator<Ratio> {
    for (const { target, rssBytesMax } of processes) {
      if (!target.startsWith("service")) continue;
      const value = rssBytesMax / 1e6;
      yield { name: `${target}: RSS at most, MB`, value, byRound: value, target: { atMost: 200 } };
    }
  }
  return [
    ...toOther(names.floor, "requestsPerSecond", { atLeast: 0.7 }),
    ...toOther(names.stock, "requestsPerSecond", { atLeast: 12 }),
    ...toOther(names.fastify, "requestsPerSecond", { atLeast: 5 }),
    ...toOther(names.betterAuth, "requestsPerSecond", { atLeast: 25 }),
    ...toOther(names.stock, "p99Ms", { atMost: 0.25 }),
    ...memory(),
  ];
}

function divide(one: Row, other: Row, by: "requestsPerSecond" | "p99Ms"): Pick<Ratio, "value" | "byRound"> {
  const byRound = one.samples.map((sample, round) => sample[by] / other.samples[round]![by]);
  return { value: one[by] / other[by], byRound: median(byRound) };
}
