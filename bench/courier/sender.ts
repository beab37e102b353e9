import { sendByCourier } from "./by-courier.ts";
import { sendByPool } from "./by-pool.ts";

// A process that sends mails and tells its parent how long that took: `sender.js KIND COUNT PORT`.
const [kind, count, port] = process.argv.slice(2);
const prepare = kind === "courier" ? sendByCourier : sendByPool;
const send = await prepare(Number(count), `smtp://127.0.0.1:${port}`);

/** What is told once all mails were taken. */
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
// Connections of a pool are kept for the next mail.
setTimeout(() => process.exit(), 1_000).unref();
