import { readOptions, wholeNumber } from "../lib/options.ts";
import { operations } from "../lib/workload.ts";
import type { MeasureOptions } from "./measure.ts";
import type { Target } from "./targets.ts";

interface Options extends MeasureOptions {
  /** Selects the servers to measure. @throws if there are none. */
  readonly select: (targets: readonly Target[]) => readonly Target[];
  /** File for the results, as JSON. */
  readonly out: string;
  /** File for the plot. Undefined if some rows are not measured. */
  readonly plot: string | undefined;
}

const usage = `npm run bench -- [options]

  --quick            two short rounds with 64 requests at a time, as a smoke test
  --only WORDS       servers whose names contain one of the words, such as floor,connect
  --calls WORDS      calls whose names contain one of the words: returned, mailed, verify
  --at-a-time LIST   requests at a time (1,16,64,256; quick: 64)
  --rounds N         runs of each row (5; quick: 2)
  --run MS           length of a run (600; quick: 300)
  --warm-up MS       warm-up of each server (3000; quick: 1000)
  --out FILE         results as JSON (bench/results/service.json)
  --plot FILE        plot as SVG (docs/bench.svg if all rows are measured)
  --profiles FOLDER  write a CPU profile of each server to this folder
`;

const defaults = {
  quick: false,
  only: undefined,
  calls: undefined,
  "at-a-time": undefined,
  rounds: undefined,
  run: undefined,
  "warm-up": undefined,
  out: "bench/results/service.json",
  plot: undefined,
  profiles: undefined,
} as const;

export function serviceOptions(): Options {
  return readOptions(usage, defaults, (values) => {
    const { quick, only, calls, "at-a-time": atATime } = values;
    const isComplete = !quick && only === undefined && calls === undefined && atATime === undefined;
    return {
      select: (targets) => matching("only", targets, ({ name }) => name, only),
      operations: matching("calls", operations, (name) => name, calls),
      concurrencies: (atATime ?? (quick ? "64" : "1,16,64,256"))
        .split(",")
        .map((each) => wholeNumber("at-a-time", each)),
      rounds: wholeNumber("rounds", values.rounds ?? (quick ? "2" : "5")),
      runMs: wholeNumber("run", values.run ?? (quick ? "300" : "600")),
      warmUpMs: wholeNumber("warm-up", values["warm-up"] ?? (quick ? "1000" : "3000")),
      out: values.out,
      plot: values.plot ?? (isComplete ? "docs/bench.svg" : undefined),
      profiles: values.profiles,
    };
  });
}

function matching<T>(
  option: string,
  all: readonly T[],
  nameOf: (one: T) => string,
  words: string | undefined,
): readonly T[] {
  if (words === undefined) return all;
  const parts = words.toLowerCase().split(",");
  const found = all.filter((one) => parts.some((word) => nameOf(one).toLowerCase().includes(word)));
  if (found.length > 0) return found;
  throw new Error(`--${option} matches none of: ${all.map(nameOf).join("; ")}`);
}
