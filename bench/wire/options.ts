import { readOptions, wholeNumber } from "../lib/options.ts";
import { allCases, type Case, casesOf, servers } from "./cases.ts";

export interface Options {
  readonly cases: readonly Case[];
  /** Runs of each case. */
  readonly rounds: number;
  /** CPU time of the server before the first run. */
  readonly warmUpMs: number;
  /** CPU time of the server in a run. */
  readonly runMs: number;
  readonly connections: number;
  readonly sessions: number;
  readonly streams: number;
  /** File for the results, as JSON. */
  readonly out: string;
  /** Folder for a CPU profile of each server. */
  readonly profiles: string | undefined;
}

const usage = `npm run wire -w bench -- [options]

  --quick            three short rounds of the rows with a target: about a minute
  --only WORDS       rows by server, protocol and version of HTTP, such as unary,connect-json,http1
  --rounds N         runs of each row (5; quick: 3)
  --run MS           CPU time of a run (400; quick: 250)
  --warm-up MS       CPU time before the first run (3500; quick: 1500)
  --connections N    connections with HTTP/1.1 (32)
  --sessions N       connections with HTTP/2 (8)
  --streams N        concurrent streams of each HTTP/2 connection (8)
  --out FILE         results as JSON (bench/results/wire.json)
  --profiles FOLDER  write a CPU profile of each server to this folder
`;

const defaults = {
  quick: false,
  only: undefined,
  rounds: undefined,
  run: undefined,
  "warm-up": undefined,
  connections: "32",
  sessions: "8",
  streams: "8",
  out: "bench/results/wire.json",
  profiles: undefined,
} as const;

export function wireOptions(): Options {
  return readOptions(usage, defaults, (values) => {
    const { quick, only } = values;
    const cases = quick ? allCases.filter(({ server }) => servers[server]?.hasTarget) : allCases;
    return {
      cases: only === undefined ? cases : casesOf(only.split(",")),
      rounds: wholeNumber("rounds", values.rounds ?? (quick ? "3" : "5")),
      warmUpMs: wholeNumber("warm-up", values["warm-up"] ?? (quick ? "1500" : "3500")),
      runMs: wholeNumber("run", values.run ?? (quick ? "250" : "400")),
      connections: wholeNumber("connections", values.connections),
      sessions: wholeNumber("sessions", values.sessions),
      streams: wholeNumber("streams", values.streams),
      out: values.out,
      profiles: values.profiles,
    };
  });
}
