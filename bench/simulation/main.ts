import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { table } from "../lib/table.ts";
import { readOptions } from "../lib/testbed.ts";
import type { TableSize } from "../nodes/cluster.ts";
import { type CallCost, type Demand, mailsOf, ratesOf, tablesOf } from "./demand.ts";
import { meanLockWaitMs, simulateLock } from "./lock.ts";
import { randomFrom } from "./random.ts";
import { simulateRelay } from "./relay.ts";

const usage = `npm run simulate -- [options]

What an installation needs, from what \`npm run bench:nodes\` has measured: rows, bytes, rates and cores, a day of mails at a
relay, and the wait for a lock that all calls share.

  --logins N          a second, in the busiest hour (1000)
  --users N           each with one address (100000000)
  --mean-to-peak N    logins of the mean hour, of those of the busiest (0.6)
  --enrolments N      a day (100000)
  --event-days N      that the trail is kept (90)
  --relay N           mails a second that the relay takes (900)
  --hold MS           that a call holds a lock which all share (4)
  --sent-us N         CPU of a node to hand over a mail (600: npm run bench:courier)
  --life S            of a code (300)
  --seed N            of the random numbers (1)
  --measured FILE     (docs/nodes.json)
`;

interface Measured {
  readonly machine: string;
  readonly medians: readonly (CallCost & { readonly call: string; readonly fleet: string })[];
  readonly sizes: Readonly<Record<string, readonly TableSize[]>>;
}

const options = readOptions(parse, usage);
const { demand, seed, relay, holdMs, sentUs, lifeS } = options;
const measured = JSON.parse(readFileSync(options.measured, "utf8")) as Measured;

function parse(args: readonly string[]) {
  const number = (standard: string) => ({ type: "string", default: standard }) as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      logins: number("1000"),
      users: number("100000000"),
      "mean-to-peak": number("0.6"),
      enrolments: number("100000"),
      "event-days": number("90"),
      relay: number("900"),
      hold: number("4"),
      "sent-us": number("600"),
      life: number("300"),
      seed: number("1"),
      measured: { type: "string", default: "docs/nodes.json" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const of = (name: Exclude<keyof typeof values, "help" | "measured">) => {
    const value = Number(values[name]);
    if (value > 0) return value;
    throw new Error(`--${name} must be a number above 0`);
  };
  return {
    demand: {
      users: of("users"),
      loginsPerSecond: of("logins"),
      meanToPeak: of("mean-to-peak"),
      enrolmentsPerDay: of("enrolments"),
      eventDays: of("event-days"),
    } satisfies Demand,
    relay: of("relay"),
    holdMs: of("hold"),
    sentUs: of("sent-us"),
    lifeS: of("life"),
    seed: of("seed"),
    measured: values.measured,
  };
}

const count = (value: number) => Math.round(value).toLocaleString("en");
const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1);

function costOf(call: string): CallCost {
  const row = measured.medians.find((one) => one.call === call && one.fleet === "PostgreSQL, 1 node");
  if (row) return row;
  throw new Error(`${options.measured} has not measured: ${call}`);
}

const mails = mailsOf(demand);
console.log(
  `${count(demand.users)} users, ${count(demand.loginsPerSecond)} logins a second at the peak, ${count(mails.perDay)} mails a day.`,
);
console.log(`Measured on: ${measured.machine}\n`);

for (const [engine, sizes] of Object.entries(measured.sizes)) {
  const needs = tablesOf(demand, sizes);
  const sum = (of: "bytes" | "indexBytes") => needs.reduce((total, need) => total + need[of], 0);
  console.log(
    table([
      [engine, "rows", "GB", "of it indexes", "inserts/s at the peak"],
      ...needs.map((need) => [
        need.table,
        count(need.rows),
        gigabytes(need.bytes),
        gigabytes(need.indexBytes),
        count(need.insertsPerSecond),
      ]),
      ["all", "", gigabytes(sum("bytes")), gigabytes(sum("indexBytes")), ""],
    ]),
  );
  console.log();
}

const [returned, mailed] = [costOf("add, code returned"), costOf("add, code mailed")];
const queued = {
  nodeUs: Math.max(0, mailed.nodeUs - returned.nodeUs),
  databaseUs: Math.max(0, mailed.databaseUs - returned.databaseUs),
  walBytes: Math.max(0, mailed.walBytes - returned.walBytes),
};
const rates = ratesOf(demand, costOf("login"), queued, sentUs);
const idle = 0.6;
console.log(
  table([
    ["at the peak, PostgreSQL", ""],
    ["transactions/s", count(rates.transactionsPerSecond)],
    ["write-ahead log, MB/s", (rates.walBytesPerSecond / 1e6).toFixed(1)],
    ["mails/s", count(mails.perSecond)],
    ["cores of nodes, at 60 % each", (rates.nodeCores / idle).toFixed(1)],
    ["cores of PostgreSQL, at 60 %", (rates.databaseCores / idle).toFixed(1)],
  ]),
);

console.log(`\nA day at a relay that takes so many mails a second, codes live ${lifeS} s:`);
console.log(
  table([
    ["mails/s", "sent", "expired in the queue", "wait p50 s", "p99 s", "longest queue"],
    ...[relay * 0.8, relay, demand.loginsPerSecond * 1.1].map((taken) => {
      const day = simulateRelay(mails.perSecond, demand.meanToPeak, taken, lifeS, randomFrom(seed));
      return [
        count(taken),
        count(day.sent),
        count(day.expired),
        String(day.waitP50S),
        String(day.waitP99S),
        count(day.longest),
      ];
    }),
  ]),
);

console.log(`\nOne lock for all calls, held for ${holdMs} ms until each commit (M/D/1):`);
console.log(
  table([
    ["calls/s", "held", "mean wait ms", "by formula", "p99 ms"],
    ...[0.2, 0.5, 0.8, 0.9, 0.95].map((share) => {
      const rate = (share * 1_000) / holdMs;
      const wait = simulateLock(rate, holdMs, 1_000_000, randomFrom(seed));
      return [
        count(rate),
        `${(wait.utilisation * 100).toFixed(0)}%`,
        wait.meanMs.toFixed(1),
        meanLockWaitMs(rate, holdMs).toFixed(1),
        wait.p99Ms.toFixed(1),
      ];
    }),
    [`${count(1_000 / holdMs)} and more`, "100%", "grows", "infinite", "grows"],
  ]),
);
