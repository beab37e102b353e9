import { existsSync, readFileSync } from "node:fs";
import Database from "better-sqlite3";
import type { Durability, Reading } from "./server.ts";

// Loaded into each server with `node --import`, the built service included. Reports the CPU and memory of the process and the
// settings of its own database connection, which other processes can't read.

let database: Database.Database | undefined;

const { prepare } = Database.prototype;
Database.prototype.prepare = function capture(this: Database.Database, source: string) {
  // Unpatch at the first statement, so that later ones cost nothing extra.
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
// Otherwise the channel keeps a server alive that was told to stop.
process.channel?.unref();

/** VmHWM starts with the program. On Linux, `maxRSS` also counts the memory of the process that spawned it. */
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
