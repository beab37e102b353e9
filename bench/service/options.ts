import { parseArgs } from "node:util";
import { type Operation, operations } from "../lib/operations.ts";
import type { MeasureOptions } from "./measure.ts";
import type { Target } from "./targets.ts";

export interface Options extends MeasureOptions {
  /** Those targets that are wanted. @throws if none is. */
  readonly named: (targets: readonly Target[]) => readonly Target[];
  /** Where the results go, as JSON. */
  readonly out: string;
  /** Where the plot goes. Undefined: there is none, as the rows are not all there. */
  readonly plot: string | undefined;
}

export const usage = `npm run bench -- [options]

  --quick            two short rounds at 64 requests at a time: tells whether something broke
  --only WORDS       servers whose names contain one of the words, such as floor,connect
  --calls WORDS      calls whose names contain one of the words: returned, mailed, verify
  --at-a-time LIST   requests at a time (1,16,64,256; quick 64)
  --rounds N         measured runs of each row (5; quick 2)
  --run MS           of a run (600; quick 300)
  --warm-up MS       of each server before the first run (3000; quick 1000)
  --out FILE         results as JSON (bench/results/service.json)
  --plot FILE        plot as SVG (docs/bench.svg, if every row is measured)
  --profiles FOLDER  have each server write a CPU profile there
`;

/** @throws if an option is unknown or has no value that can be used. */
export function parseOptions(args: readonly string[]): Options | "help" {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
      only: text,
      calls: text,
      "at-a-time": text,
      rounds: text,
      run: text,
      "warm-up": text,
      out: { type: "string", default: "bench/results/service.json" },
      plot: text,
      profiles: text,
    },
  });
  if (values.help) return "help";
  const { quick, only, calls, "at-a-time": atATime } = values;
  const isWhole = !quick && only === undefined && calls === undefined && atATime === undefined;
  return {
    named: (targets) => wanted("only", targets, ({ name }) => name, only),
    operations: wanted("calls", operations, (name: Operation) => name, calls),
    concurrencies: (atATime ?? (quick ? "64" : "1,16,64,256"))
      .split(",")
      .map((each) => wholeNumber("at-a-time", each)),
    rounds: wholeNumber("rounds", values.rounds ?? (quick ? "2" : "5")),
    runMs: wholeNumber("run", values.run ?? (quick ? "300" : "600")),
    warmUpMs: wholeNumber("warm-up", values["warm-up"] ?? (quick ? "1000" : "3000")),
    out: values.out,
    plot: values.plot ?? (isWhole ? "docs/bench.svg" : undefined),
    profiles: values.profiles,
  };
}

function wanted<T>(option: string, all: readonly T[], nameOf: (one: T) => string, words: string | undefined) {
  if (words === undefined) return all;
  const parts = words.toLowerCase().split(",");
  const found = all.filter((one) => parts.some((word) => nameOf(one).toLowerCase().includes(word)));
  if (found.length > 0) return found;
  throw new Error(`--${option}: there is none of that name: ${all.map(nameOf).join("; ")}`);
}

export function wholeNumber(option: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new Error(`--${option} must be a whole number, of 1 or more`);
}
