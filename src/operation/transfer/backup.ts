import {
  closeSync,
  copyFileSync,
  existsSync,
  linkSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname } from "node:path";
import Database from "better-sqlite3";
import { writeTimeoutMs } from "../../db/core/write-timeout.ts";
import { syncFolder } from "../../db/sqlite/file.ts";
import { requireSound } from "../../db/sqlite/integrity.ts";
import { openStore } from "../../db/store.ts";

/**
 * Writes a consistent copy of a SQLite database to a new file, while servers go on reading and writing. The copy is checked
 * before it gets its name, and readable by its owner only.
 *
 * @returns its size in bytes.
 * @throws if the file exists, the database is not SQLite or damaged, or the disk is full: then no file is left behind.
 */
export async function backUp(databaseUrl: string, file: string): Promise<number> {
  const path = pathOf(databaseUrl);
  if (!existsSync(path)) throw new Error(`${path} does not exist: there is nothing to back up`);
  const draft = createDraft(file);
  try {
    const database = new Database(path, { fileMustExist: true, timeout: writeTimeoutMs });
    try {
      // All pages in one step: a write between two steps would restart the copy.
      await database.backup(draft, { progress: () => Number.MAX_SAFE_INTEGER });
    } finally {
      database.close();
    }
    check(draft, path);
    // Fails if the file exists by now, instead of replacing it.
    linkSync(draft, file);
    syncFolder(dirname(file));
    return statSync(file).size;
  } finally {
    rmSync(draft, { force: true });
  }
}

/**
 * Restores a copy made by `backUp` where there is no database. No server may run. Its live codes, pending challenges and waiting
 * mails are ended, because they may have been used since the backup.
 *
 * @throws if a database exists, or the file is no copy or is damaged: then nothing is changed.
 */
export async function restore(file: string, databaseUrl: string): Promise<void> {
  const path = pathOf(databaseUrl);
  for (const file of [path, `${path}-wal`]) {
    if (existsSync(file)) throw new Error(`${file} exists: move it away first, nothing is replaced`);
  }
  const draft = createDraft(path);
  try {
    copyFileSync(file, draft);
    check(draft, file);
    await using store = openStore(`sqlite:${draft}`);
    await store.migrate();
    await store.write(async (trx) => {
      const clearedCode = { code_key_id: null, code_salt: null, code_expire_time: null };
      await trx.updateTable("otp_emails").set(clearedCode).where("code_salt", "is not", null).execute();
      await trx
        .updateTable("challenges")
        .set({ state: "cancelled" })
        .where("state", "=", "pending")
        .execute();
      await trx.deleteFrom("outbox").where("state", "=", "queued").execute();
    });
  } catch (error) {
    for (const part of ["", "-wal", "-shm"]) rmSync(draft + part, { force: true });
    throw error;
  }
  // The store is closed, so the log has been moved into the file.
  renameSync(draft, path);
  syncFolder(dirname(path));
}

function pathOf(databaseUrl: string): string {
  if (!databaseUrl.startsWith("sqlite:"))
    throw new Error(
      "backup and restore are for SQLite: use the tools of PostgreSQL, such as pg_dump or base backups",
    );
  return databaseUrl.slice("sqlite:".length);
}

/** Creates an empty file next to this one, readable by its owner only. */
function createDraft(file: string): string {
  if (existsSync(file)) throw new Error(`${file} exists already: nothing is replaced`);
  const draft = `${file}.${process.pid}.tmp`;
  closeSync(openSync(draft, "wx", 0o600));
  return draft;
}

/** @param origin the file to name in the error: the one that the copy was made from. */
function check(copy: string, origin: string): void {
  // Not read-only, which would leave a log file behind.
  const database = new Database(copy, { fileMustExist: true });
  try {
    requireSound(database, origin, true);
  } catch (error) {
    throw new Error(`${origin} is not an intact database of Countersign`, { cause: error });
  } finally {
    database.close();
  }
}
