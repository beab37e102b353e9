import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { clientCore, prepareMachine, serverCore } from "../lib/machine.ts";
import { readOptions, wholeNumber } from "../lib/options.ts";
import { saveResults } from "../lib/output.ts";
import { repositoryFile } from "../lib/paths.ts";
import { median, type Ratio, ratiosTable } from "../lib/ratios.ts";
import { table } from "../lib/table.ts";
import type { Sent } from "./sender.ts";

const usage = `npm run courier -w bench -- [options]

Measures the courier against nodemailer's pool.

  --mails N   mails of a run (10000)
  --rounds N  runs of each (5)
  --out FILE  results as JSON (bench/results/courier.json)
`;

const defaults = { mails: "10000", rounds: "5", out: "bench/results/courier.json" };
const { mails, rounds, out } = readOptions(usage, defaults, (values) => ({
  mails: wholeNumber("mails", values.mails),
  rounds: wholeNumber("rounds", values.rounds),
  out: values.out,
}));

const senders = ["courier", "pool"] as const;
type Sender = (typeof senders)[number];
type Round = Readonly<Record<Sender, Sent>>;

const { name: machine, pin } = prepareMachine();
const results = [];
for (const delayMs of [0, 5]) {
  const relay = start(clientCore, "relay", String(delayMs));
  const [port] = (await once(relay, "message")) as [number];
  const samples: Round[] = [];
  for (let round = 0; round < rounds; round++)
    samples.push({ courier: await send("courier", port), pool: await send("pool", port) });
  relay.disconnect();
  results.push({
    delayMs,
    ratio: ratioOf(samples, delayMs),
    rounds: samples,
    rows: senders.map((sender) => rowOf(sender, samples)),
  });
}

console.log(
  table([
    ["replies after", "sender", "mails/s", "CPU us/mail"],
    ...results.flatMap(({ delayMs, rows }) =>
      rows.map(({ sender, mailsPerSecond, cpuUs }) => [
        `${delayMs} ms`,
        sender,
        mailsPerSecond.toFixed(0),
        cpuUs.toFixed(0),
      ]),
    ),
  ]),
);
console.log(`\n${ratiosTable(results.map(({ ratio }) => ratio))}`);
saveResults(out, { machine, mails, results });

function rowOf(sender: Sender, samples: readonly Round[]) {
  const sent = samples.map((round) => round[sender]);
  return {
    sender,
    mailsPerSecond: mails / median(sent.map(({ seconds }) => seconds)),
    cpuUs: median(sent.map(({ cpuUs }) => cpuUs)) / mails,
  };
}

/** Mails a second of the courier, divided by those of the pool. */
function ratioOf(samples: readonly Round[], delayMs: number): Ratio {
  const [courier, pool] = senders.map((sender) => rowOf(sender, samples).mailsPerSecond) as [number, number];
  return {
    name: `courier : pool, mails/s, replies after ${delayMs} ms`,
    value: courier / pool,
    byRound: median(samples.map((round) => round.pool.seconds / round.courier.seconds)),
    target: { atLeast: 0.9 },
  };
}

/** Runs a sender in a new process. */
async function send(sender: Sender, port: number): Promise<Sent> {
  const child = start(serverCore, "sender", sender, String(mails), String(port));
  const exited = once(child, "exit").then(() => {
    throw new Error(`the sender ${sender} exited`);
  });
  const [sent] = (await Promise.race([once(child, "message"), exited])) as [Sent];
  await exited.catch(() => {});
  return sent;
}

function start(core: number, script: string, ...args: string[]): ChildProcess {
  const file = repositoryFile(`bench/dist/bench/courier/${script}.js`);
  const [command, ...rest] = pin(core, [process.execPath, file, ...args]);
  return spawn(command, rest, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
}
