import { sendByCourier } from "./by-courier.ts";
import { sendByPool } from "./by-pool.ts";

// Sends mails and reports to the parent process how long that took: `sender.js courier|pool COUNT PORT`.
const [sender, count, port] = process.argv.slice(2);
const prepare = sender === "courier" ? sendByCourier : sendByPool;
const send = await prepare(Number(count), `smtp://127.0.0.1:${port}`);

/** Reported when the relay has accepted all mails. */
export interface Sent {
  readonly seconds: number;
  /** User and system time of all threads, in microseconds. */
  readonly cpuUs: number;
}

const cpu = process.cpuUsage();
const start = performance.now();
await send();
const seconds = (performance.now() - start) / 1_000;
const { user, system } = process.cpuUsage(cpu);
process.send?.({ seconds, cpuUs: user + system } satisfies Sent);
process.disconnect?.();
// The pool keeps its connections open for further mails, and with them the process.
setTimeout(() => process.exit(), 1_000).unref();
