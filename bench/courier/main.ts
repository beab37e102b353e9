import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { clientCore, type Pin, pinBy, serverCore, whyUnpinned } from "../lib/pin.ts";
import { table } from "../lib/table.ts";
import { saveJson } from "../lib/testbed.ts";
import { median } from "../wire/measure.ts";
import type { Sent } from "./sender.ts";

const kinds = ["courier", "pool"] as const;

/** Mails a second of the courier, of those of nodemailer's pool alone. */
const target = 0.9;

const { values } = parseArgs({
  options: {
    mails: { type: "string", default: "10000" },
    rounds: { type: "string", default: "5" },
    out: { type: "string", default: "bench/results/courier.json" },
  },
});

const unpinned = whyUnpinned();
const pin = pinBy(unpinned === undefined);
const machine = `Node ${process.version}, ${cpus()[0]?.model ?? "unknown CPU"}`;
console.log(machine);
console.log(unpinned ? `not pinned: ${unpinned}` : "sender and relay pinned to a core each");

const results = [];
for (const delayMs of [0, 5]) {
  const sink = start(pin, clientCore, "sink", String(delayMs));
  const [port] = (await once(sink, "message")) as [number];
  const rounds: Record<(typeof kinds)[number], Sent>[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    const courier = await send("courier", port);
    rounds.push({ courier, pool: await send("pool", port) });
  }
  sink.disconnect();
  const byRound = median(rounds.map(({ courier, pool }) => pool.seconds / courier.seconds));
  results.push({ delayMs, byRound, rounds, rows: kinds.map((kind) => rowOf(kind, rounds)) });
}

console.log(
  table([
    ["replies after", "sender", "mails/s", "CPU us/mail"],
    ...results.flatMap(({ delayMs, rows }) =>
      rows.map(({ kind, mailsPerSecond, cpuUs }) => [
        `${delayMs} ms`,
        kind,
        mailsPerSecond.toFixed(0),
        cpuUs.toFixed(0),
      ]),
    ),
  ]),
);
for (const { delayMs, byRound } of results) {
  const verdict = byRound >= target ? "reached" : "NOT REACHED";
  console.log(
    `courier / pool by round, replies after ${delayMs} ms: ${byRound.toFixed(2)}, target >= ${target}: ${verdict}`,
  );
}
saveJson(values.out, { machine, mails: Number(values.mails), results });

function rowOf(kind: (typeof kinds)[number], rounds: readonly Record<(typeof kinds)[number], Sent>[]) {
  const mails = Number(values.mails);
  const all = rounds.map((round) => round[kind]);
  return {
    kind,
    mailsPerSecond: mails / median(all.map(({ seconds }) => seconds)),
    cpuUs: median(all.map(({ cpuUs }) => cpuUs)) / mails,
  };
}

/** One run of a sender in a process of its own, from an empty database or pool on. */
async function send(kind: (typeof kinds)[number], port: number): Promise<Sent> {
  const child = start(pin, serverCore, "sender", kind, values.mails, String(port));
  const ended = once(child, "exit").then(() => {
    throw new Error(`the sender ${kind} has ended`);
  });
  const [sent] = (await Promise.race([once(child, "message"), ended])) as [Sent];
  await ended.catch(() => {});
  return sent;
}

function start(pinned: Pin, core: number, script: string, ...args: string[]): ChildProcess {
  const file = fileURLToPath(new URL(`./${script}.js`, import.meta.url));
  const [command, ...rest] = pinned(core, [process.execPath, file, ...args]);
  return spawn(command, rest, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
}
