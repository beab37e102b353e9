import { closeSync, existsSync, fsyncSync, linkSync, openSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import Database from "better-sqlite3";
import { DatabaseRefused } from "../core/storage-failure.ts";
import { writeTimeoutMs } from "../core/write-timeout.ts";
import { busyTimeoutMs } from "./busy.ts";
import { applicationId, refusalOf, requireSound } from "./integrity.ts";

/** The first version without WAL-reset corruption (sqlite.org/wal.html#walresetbug). */
const oldestSafeVersion = "3.51.3";

/** In bytes. A log that grew beyond this during a long read is truncated to it when it restarts. */
const logBytesKept = 64 * 1024 * 1024;

/** In KiB. SQLite's 2,000 cost 5 to 6 % more CPU (docs/performance.md#storage). */
const cacheKib = 16_384;

/**
 * Opens a SQLite file for durable use, or creates it: WAL, every commit synced (`synchronous=FULL`; better-sqlite3 is compiled
 * to use NORMAL with WAL), foreign keys on.
 *
 * @param path of the file. A new one is readable by its owner only.
 * @throws DatabaseRefused if the file is damaged, empty, or not a database of this program: it is never replaced. Or what SQLite
 *   throws if it cannot be opened.
 */
export function openFile(path: string): Database.Database {
  createIfMissing(path);
  const database = new Database(path, { timeout: writeTimeoutMs });
  try {
    requireSafeVersion(database.prepare("select sqlite_version()").pluck().get() as string);
    requireSound(database, path);
    configure(database, path);
    return database;
  } catch (error) {
    database.close();
    throw refusalOf(error, path);
  }
}

function createIfMissing(path: string): void {
  if (!existsSync(path)) {
    // A log without its database means that the database was lost. SQLite would start an empty one.
    if (existsSync(`${path}-wal`)) {
      throw new DatabaseRefused(
        `${path}-wal exists but ${path} doesn't: restore the database, or move the log away`,
      );
    }
    create(path);
  }
  if (statSync(path).size === 0 && !existsSync(`${path}-wal`)) {
    throw new DatabaseRefused(
      `${path} is empty: it was cut off or never written. Restore a backup, or remove the file`,
    );
  }
}

/** Creates the file under a temporary name first, so that neither a crash nor another process leaves a partial one. */
function create(path: string): void {
  const draft = `${path}.${process.pid}.new`;
  rmSync(draft, { force: true });
  closeSync(openSync(draft, "wx", 0o600));
  try {
    const database = new Database(draft);
    try {
      database.pragma(`application_id = ${applicationId}`);
      database.pragma("journal_mode = WAL");
    } finally {
      database.close();
    }
    linkSync(draft, path);
    syncFolder(dirname(path));
  } catch (error) {
    // Another process was faster, and its file is as good.
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  } finally {
    for (const part of ["", "-journal", "-wal", "-shm"]) rmSync(draft + part, { force: true });
  }
}

/** Makes new file names in a folder durable. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** @throws if this version of SQLite can corrupt a database that several connections write to (F05). */
export function requireSafeVersion(version: string): void {
  if (version.localeCompare(oldestSafeVersion, "en", { numeric: true }) >= 0) return;
  throw new Error(
    `SQLite ${version} can corrupt a database in WAL mode: ${oldestSafeVersion} or later is needed`,
  );
}

function configure(database: Database.Database, path: string): void {
  const mode = database.pragma("journal_mode = WAL", { simple: true });
  if (mode !== "wal")
    throw new Error(`${path}: the file system does not allow WAL (journal_mode is ${mode})`);
  database.pragma("synchronous = FULL");
  // SQLite hides a failed checkpoint after a commit. Ours don't (see checkpoint.ts).
  database.pragma("wal_autocheckpoint = 0");
  database.pragma(`journal_size_limit = ${logBytesKept}`);
  database.pragma(`cache_size = -${cacheKib}`);
  database.pragma("foreign_keys = ON");
  database.pragma("trusted_schema = OFF");
  database.pragma(`busy_timeout = ${busyTimeoutMs}`);
}
