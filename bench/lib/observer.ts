import { existsSync, readFileSync } from "node:fs";
import Database from "better-sqlite3";
import type { Durability, Reading } from "./server.ts";

// Loaded before each server (`node --import`), the service as it is built among them: it tells the bench what the process
// uses, and what its own connection to the database is set to, which no other process could ask.

let database: Database.Database | undefined;

const { prepare } = Database.prototype;
Database.prototype.prepare = function noted(this: Database.Database, source: string) {
  // Once: from then on nothing stands in between.
  database = this;
  Database.prototype.prepare = prepare;
  return prepare.call(this, source);
} as typeof prepare;

process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send?.({
    cpuUs: user + system,
    rssBytes: process.memoryUsage.rss(),
    rssBytesMax: rssBytesMax(),
    durability: database && durabilityOf(database),
  } satisfies Reading);
});
process.on("disconnect", () => process.exit(0));
// Or a server that is told to stop would wait for the bench.
process.channel?.unref();

/** Linux counts what the process that started it had, in `maxRSS`. The high-water mark begins with the program. */
function rssBytesMax(): number {
  const status = existsSync("/proc/self/status") ? readFileSync("/proc/self/status", "utf8") : "";
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1] ?? process.resourceUsage().maxRSS) * 1024;
}

function durabilityOf(database: Database.Database): Durability {
  const of = (name: string) => database.pragma(name, { simple: true });
  return {
    journalMode: String(of("journal_mode")),
    synchronous: ["OFF", "NORMAL", "FULL", "EXTRA"][Number(of("synchronous"))] ?? "unknown",
    walAutocheckpoint: Number(of("wal_autocheckpoint")),
  };
}
