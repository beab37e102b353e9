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

/** What to do where this is not SQLite. */
const otherEngine =
  "only SQLite is backed up here: use the tools of PostgreSQL, such as pg_dump or base backups";

/**
 * Copies a SQLite database into a new file, as it is at one moment, while servers go on reading and writing.
 *
 * The copy is checked before it gets its name, and readable by its owner alone.
 *
 * @returns its size in bytes.
 * @throws if the file is there already, the database is not SQLite or damaged, or the disk is full: then no file is left.
 */
export async function backUp(databaseUrl: string, file: string): Promise<number> {
  const path = pathOf(databaseUrl);
  if (!existsSync(path)) throw new Error(`${path} is not there: there is nothing to back up`);
  const draft = draftOf(file);
  try {
    const database = new Database(path, { fileMustExist: true, timeout: writeTimeoutMs });
    try {
      // All pages in one step: between two steps others may write, and the copy would begin anew each time.
      await database.backup(draft, { progress: () => Number.MAX_SAFE_INTEGER });
    } finally {
      database.close();
    }
    check(draft, path);
    // It fails if the name was taken meanwhile, and replaces nothing.
    linkSync(draft, file);
    syncFolder(dirname(file));
    return statSync(file).size;
  } finally {
    rmSync(draft, { force: true });
  }
}

/**
 * Puts a copy made by `backUp` in the place of a database that is gone. Its codes, challenges and waiting mails end: some of
 * them may have been used since. Servers must not run.
 *
 * @throws if there is a database already, or the file is not a copy or damaged: then nothing is changed.
 */
export async function restore(file: string, databaseUrl: string): Promise<void> {
  const path = pathOf(databaseUrl);
  for (const there of [path, `${path}-wal`]) {
    if (existsSync(there)) throw new Error(`${there} is there: move it away first, nothing is replaced`);
  }
  const draft = draftOf(path);
  try {
    copyFileSync(file, draft);
    check(draft, file);
    await using store = openStore(`sqlite:${draft}`);
    await store.migrate();
    await store.write(async (trx) => {
      const noCode = { code_key_id: null, code_salt: null, code_expire_time: null };
      await trx.updateTable("otp_emails").set(noCode).where("code_salt", "is not", null).execute();
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
  // Closed by now: all that is in its log is in the file.
  renameSync(draft, path);
  syncFolder(dirname(path));
}

function pathOf(databaseUrl: string): string {
  if (!databaseUrl.startsWith("sqlite:")) throw new Error(otherEngine);
  return databaseUrl.slice("sqlite:".length);
}

/** A new empty file beside, readable by its owner alone. */
function draftOf(file: string): string {
  if (existsSync(file)) throw new Error(`${file} is there already: nothing is replaced`);
  const draft = `${file}.${process.pid}.tmp`;
  closeSync(openSync(draft, "wx", 0o600));
  return draft;
}

/** @param origin what a copy was made of, and is said to be damaged if the copy is. */
function check(copy: string, origin: string): void {
  // Not read-only: SQLite would leave a log beside it.
  const database = new Database(copy, { fileMustExist: true });
  try {
    requireSound(database, origin, true);
  } catch (error) {
    throw new Error(`${origin} is not a whole database of Countersign`, { cause: error });
  } finally {
    database.close();
  }
}
