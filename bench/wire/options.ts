import { parseArgs } from "node:util";
import { allCases, type Case, casesOf, servers } from "./cases.ts";

export interface Options {
  readonly cases: readonly Case[];
  /** Measured runs of each case. */
  readonly rounds: number;
  /** CPU of the server, as that of a run. */
  readonly warmUpMs: number;
  readonly runMs: number;
  readonly connections: number;
  readonly sessions: number;
  readonly streams: number;
  /** Where the results go, as JSON. */
  readonly out: string;
  /** Where each server leaves a CPU profile. */
  readonly profiles: string | undefined;
}

export const usage = `npm run bench:wire -- [options]

  --quick            the rows that a target needs, three short rounds: about a minute
  --only WORDS       rows by server, protocol and version of HTTP, such as lane,connect-json,http1
  --rounds N         measured runs of each row (5; quick 3)
  --run MS           of CPU time in a run (400; quick 250)
  --warm-up MS       of CPU time before the first one (3500; quick 1500)
  --connections N    of HTTP/1.1 (32)
  --sessions N       connections of HTTP/2 (8)
  --streams N        at a time on each connection of HTTP/2 (8)
  --out FILE         results as JSON (bench/results/wire.json)
  --profiles FOLDER  have each server write a CPU profile there
`;

/** @throws if an option is unknown or no number of 1 or more. */
export function parseOptions(args: readonly string[]): Options | "help" {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
      only: text,
      rounds: text,
      run: text,
      "warm-up": text,
      connections: text,
      sessions: text,
      streams: text,
      out: { type: "string", default: "bench/results/wire.json" },
      profiles: text,
    },
  });
  if (values.help) return "help";
  const number = (
    name: "rounds" | "run" | "warm-up" | "connections" | "sessions" | "streams",
    usual: number,
  ) => {
    const value = Number(values[name] ?? usual);
    if (!Number.isInteger(value) || value < 1)
      throw new Error(`--${name} must be a whole number, of 1 or more`);
    return value;
  };
  const { quick, only } = values;
  const every = quick ? allCases.filter(({ server }) => servers[server]?.isNeeded) : allCases;
  return {
    cases: only === undefined ? every : casesOf(only.split(",")),
    rounds: number("rounds", quick ? 3 : 5),
    warmUpMs: number("warm-up", quick ? 1500 : 3500),
    runMs: number("run", quick ? 250 : 400),
    connections: number("connections", 32),
    sessions: number("sessions", 8),
    streams: number("streams", 8),
    out: values.out,
    profiles: values.profiles,
  };
}
