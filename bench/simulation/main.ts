import { readFileSync } from "node:fs";
import { table } from "../lib/table.ts";
import type { TableSize } from "../nodes/cluster.ts";
import { type CallCost, mailsOf, ratesOf, tablesOf } from "./demand.ts";
import { meanLockWaitMs, simulateLock } from "./lock.ts";
import { simulationOptions } from "./options.ts";
import { randomFrom } from "./random.ts";
import { simulateRelay } from "./relay.ts";

/** The results of the nodes bench that are read here. */
interface Measured {
  readonly machine: string;
  readonly medians: readonly (CallCost & { readonly call: string; readonly fleet: string })[];
  readonly sizes: Readonly<Record<string, readonly TableSize[]>>;
}

const { demand, relayPerSecond, holdMs, sentUs, lifeS, seed, measured: file } = simulationOptions();
const measured = JSON.parse(readFileSync(file, "utf8")) as Measured;
/** Cores should be busy for at most this share of the time. */
const utilisationMax = 0.6;

const mails = mailsOf(demand);
console.log(
  `${count(demand.users)} users, ${count(demand.loginsPerSecond)} logins a second at the peak, ${count(mails.perDay)} mails a day.`,
);
console.log(`Measured on: ${measured.machine}\n`);
for (const [engine, sizes] of Object.entries(measured.sizes)) console.log(`${sizesTable(engine, sizes)}\n`);
console.log(ratesTable());
console.log(`\nA day at a relay that accepts so many mails a second, with codes that live for ${lifeS} s:`);
console.log(relayTable());
console.log(`\nOne lock for all calls, held for ${holdMs} ms until each commit (M/D/1):`);
console.log(lockTable());

function count(value: number): string {
  return Math.round(value).toLocaleString("en");
}

function costOf(call: string): CallCost {
  const row = measured.medians.find((one) => one.call === call && one.fleet === "PostgreSQL, 1 node");
  if (row) return row;
  throw new Error(`${file} has no measurement of: ${call}`);
}

function sizesTable(engine: string, sizes: readonly TableSize[]): string {
  const needs = tablesOf(demand, sizes);
  const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1);
  const sum = (name: "bytes" | "indexBytes") => needs.reduce((total, need) => total + need[name], 0);
  return table([
    [engine, "rows", "GB", "of it indexes", "inserts/s at the peak"],
    ...needs.map((need) => [
      need.table,
      count(need.rows),
      gigabytes(need.bytes),
      gigabytes(need.indexBytes),
      count(need.insertsPerSecond),
    ]),
    ["all", "", gigabytes(sum("bytes")), gigabytes(sum("indexBytes")), ""],
  ]);
}

function ratesTable(): string {
  const [returned, mailed] = [costOf("add, code returned"), costOf("add, code mailed")];
  const queued = {
    nodeUs: Math.max(0, mailed.nodeUs - returned.nodeUs),
    databaseUs: Math.max(0, mailed.databaseUs - returned.databaseUs),
    walBytes: Math.max(0, mailed.walBytes - returned.walBytes),
  };
  const rates = ratesOf(demand, costOf("login"), queued, sentUs);
  return table([
    ["at the peak, PostgreSQL", ""],
    ["transactions/s", count(rates.transactionsPerSecond)],
    ["write-ahead log, MB/s", (rates.walBytesPerSecond / 1e6).toFixed(1)],
    ["mails/s", count(mails.perSecond)],
    ["cores of nodes, at 60 % each", (rates.nodeCores / utilisationMax).toFixed(1)],
    ["cores of PostgreSQL, at 60 %", (rates.databaseCores / utilisationMax).toFixed(1)],
  ]);
}

function relayTable(): string {
  return table([
    ["mails/s", "sent", "expired in the queue", "wait p50 s", "p99 s", "longest queue"],
    ...[relayPerSecond * 0.8, relayPerSecond, demand.loginsPerSecond * 1.1].map((accepted) => {
      const day = simulateRelay(mails.perSecond, demand.meanToPeak, accepted, lifeS, randomFrom(seed));
      return [
        count(accepted),
        count(day.sent),
        count(day.expired),
        String(day.waitP50S),
        String(day.waitP99S),
        count(day.longest),
      ];
    }),
  ]);
}

function lockTable(): string {
  return table([
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
  ]);
}
