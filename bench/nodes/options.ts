import { positiveNumber, readOptions, wholeNumber } from "../lib/options.ts";

const usage = `npm run nodes -w bench -- [options]

Measures one and two processes of the service on one PostgreSQL, and one on SQLite, all durable.

  --rounds N             runs of each row (5)
  --run MS               length of a run (2000)
  --warm-up MS           warm-up of each call (4000)
  --at-a-time N          requests at a time for each node (32)
  --share N              share of a core that each node on PostgreSQL may use (1; less needs control groups and root)
  --shared-limits off    without the limits on all mails and on those of one client, which share a lock
  --out FILE             results as JSON (bench/results/nodes.json)
`;

const defaults = {
  rounds: "5",
  run: "2000",
  "warm-up": "4000",
  "at-a-time": "32",
  share: "1",
  "shared-limits": "on",
  out: "bench/results/nodes.json",
};

export interface Options {
  readonly rounds: number;
  readonly runMs: number;
  readonly warmUpMs: number;
  /** Requests at a time for each node. */
  readonly concurrency: number;
  /** Share of a core for each node on PostgreSQL, from 0 to 1. */
  readonly share: number;
  readonly hasSharedLimits: boolean;
  readonly out: string;
}

export function nodesOptions(): Options {
  return readOptions(usage, defaults, (values) => ({
    rounds: wholeNumber("rounds", values.rounds),
    runMs: wholeNumber("run", values.run),
    warmUpMs: wholeNumber("warm-up", values["warm-up"]),
    concurrency: wholeNumber("at-a-time", values["at-a-time"]),
    share: shareOf(values.share),
    hasSharedLimits: values["shared-limits"] !== "off",
    out: values.out,
  }));
}

function shareOf(text: string): number {
  const share = positiveNumber("share", text);
  if (share > 1) throw new Error("--share must be at most 1");
  return share;
}
