import Database from "better-sqlite3";
import { DatabaseRefused } from "../core/storage-failure.ts";
import { writeTimeoutMs } from "../core/write-timeout.ts";
import { isDamage } from "./errors.ts";

/** "CSGN": the `PRAGMA application_id` of our files. */
export const applicationId = 0x4353474e;

/**
 * In bytes: up to this size every page is read at start. It takes 2 ms per megabyte, and no start should take longer than half
 * a second, least of all after a crash.
 */
const fullCheckBytesMax = 256 * 1024 * 1024;

/**
 * @param isFull whether to read every page of a large file, too. By default a large file is only sampled.
 * @throws DatabaseRefused if the file is damaged, or the database of another program; or what SQLite throws.
 */
export function requireSound(database: Database.Database, path: string, isFull = false): void {
  if (isFull || bytesOf(database) <= fullCheckBytesMax) {
    // Reads every page, but doesn't compare indexes with their tables.
    const verdict = database.pragma("quick_check(1)", { simple: true }) as string;
    if (verdict !== "ok") throw damaged(path, verdict);
  } else {
    sampleTables(database);
  }
  if (database.pragma("application_id", { simple: true }) !== applicationId) {
    throw new DatabaseRefused(`${path} is not a database of Countersign. It was left as it is`);
  }
}

/**
 * Checks every page and every index of a SQLite file, which a server may be using. Takes about 30 s per gigabyte.
 *
 * @returns the problems, a line each; none if the database is sound.
 * @throws DatabaseRefused if it is no database at all, or that of another program.
 */
export function problemsOf(path: string): string[] {
  const database = new Database(path, { fileMustExist: true, timeout: writeTimeoutMs });
  try {
    requireSound(database, path, true);
    const lines = database.prepare("pragma integrity_check(100)").pluck().all() as string[];
    const orphans = database.pragma("foreign_key_check") as { table: string; parent: string }[];
    return [
      ...lines.filter((line) => line !== "ok"),
      ...orphans
        .slice(0, 100)
        .map(({ table, parent }) => `a row of ${table} refers to a missing row of ${parent}`),
    ];
  } catch (error) {
    throw refusalOf(error, path);
  } finally {
    database.close();
  }
}

/** Turns SQLite's errors about damage into a `DatabaseRefused` that names the file. All others stay as they are. */
export function refusalOf(error: unknown, path: string): unknown {
  return isDamage(error) ? damaged(path, error.message) : error;
}

function damaged(path: string, verdict: string): DatabaseRefused {
  return new DatabaseRefused(`${path} is damaged (${verdict}). It was left as it is: restore a backup`);
}

/** The size in the header of the database. SQLite refuses a file that is shorter. */
function bytesOf(database: Database.Database): number {
  const pages = database.pragma("page_count", { simple: true }) as number;
  return pages * (database.pragma("page_size", { simple: true }) as number);
}

/** Reads the schema, and a row of each table. */
function sampleTables(database: Database.Database): void {
  const tables = database
    .prepare("select name from sqlite_schema where type = 'table'")
    .pluck()
    .all() as string[];
  for (const table of tables) database.prepare(`select * from "${table}" limit 1`).get();
}
