import { closeSync, existsSync, openSync, statSync } from "node:fs";
import Database from "better-sqlite3";
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  SqliteAdapter,
  type SqliteDatabase,
  SqliteDialect,
  SqliteDriver,
  type SqliteStatement,
} from "kysely";
import { LRUCache } from "lru-cache";
import { engineTimeoutMs, patienceMs } from "./patience.ts";

/** "CSGN": what `PRAGMA application_id` says in a file of ours. */
const applicationId = 0x4353474e;

/** WAL-reset corruption is fixed from here on (sqlite.org/wal.html#walresetbug). */
const oldestSafeVersion = "3.51.3";

/**
 * After how many pages of log they are written back to the database. Each time is a wait of some 50 ms for the disk, and
 * SQLite's own 1,000 let every tenth commit wait. Measured with 32 authenticators a commit, for 1,000 / 8,000 / 16,000
 * pages: 7,460 / 10,040 / 10,500 of them a second, of a commit p90 12.3 / 3.5 / 3.6 ms and p99 22 / 31 / 15 ms.
 */
const logPagesMax = 16_000;

/** What the log is cut back to, once it could grow further since somebody read for long. A little above those pages. */
const logBytesMax = 64 * 1024 * 1024;

/**
 * Opens (or creates) a SQLite file for durable use: WAL, every commit synced (`synchronous=FULL`; better-sqlite3
 * is compiled so that WAL alone would mean NORMAL), foreign keys on. Waiting for another
 * process that writes is left to `patiently`, so that this one goes on meanwhile.
 *
 * @param path of the file. A new one is readable by its owner alone.
 * @throws if the file is damaged, emptied, not a database of this program, or cannot be opened. It is never
 *   replaced.
 */
export function openSqlite(path: string): Dialect {
  const isNew = createIfMissing(path);
  const database = new Database(path, { timeout: patienceMs });
  try {
    prepareFile(database, path, isNew);
    database.pragma(`busy_timeout = ${engineTimeoutMs}`);
  } catch (error) {
    database.close();
    throw isDamage(error) ? damaged(path, error.message) : error;
  }
  return createDialect(database);
}

function createIfMissing(path: string): boolean {
  if (!existsSync(path)) {
    // A log without its database means that the database was lost. SQLite would begin an empty one.
    if (existsSync(`${path}-wal`)) {
      throw new Error(`${path}-wal is there but ${path} is not: restore the database, or move the log away`);
    }
    closeSync(openSync(path, "wx", 0o600));
    return true;
  }
  if (statSync(path).size === 0 && !existsSync(`${path}-wal`)) {
    throw new Error(
      `${path} is empty: it was cut off or never written. Restore a backup, or remove the file`,
    );
  }
  return false;
}

function prepareFile(database: Database.Database, path: string, isNew: boolean): void {
  const version = database.prepare("select sqlite_version()").pluck().get() as string;
  if (isOlder(version, oldestSafeVersion)) {
    throw new Error(
      `SQLite ${version} can corrupt a database in WAL mode: ${oldestSafeVersion} or later is needed`,
    );
  }
  if (isNew) {
    database.pragma("journal_mode = WAL");
    database.pragma(`application_id = ${applicationId}`);
  } else {
    refuseDamaged(database, path);
  }
  const mode = database.pragma("journal_mode = WAL", { simple: true });
  if (mode !== "wal")
    throw new Error(`${path}: the file system does not allow WAL (journal_mode is ${mode})`);
  database.pragma("synchronous = FULL");
  database.pragma(`wal_autocheckpoint = ${logPagesMax}`);
  database.pragma(`journal_size_limit = ${logBytesMax}`);
  database.pragma("foreign_keys = ON");
  database.pragma("trusted_schema = OFF");
}

/** @throws if the file is damaged, or the database of another program. */
export function refuseDamaged(database: Database.Database, path: string): void {
  // Every page is read, indexes are not compared: seconds for a gigabyte, once, at start.
  const verdict = database.pragma("quick_check(1)", { simple: true }) as string;
  if (verdict !== "ok") throw damaged(path, verdict);
  if (database.pragma("application_id", { simple: true }) !== applicationId) {
    throw new Error(`${path} is not a database of Countersign. It was left as it is`);
  }
}

function isDamage(error: unknown): error is Error {
  return error instanceof Database.SqliteError && /^SQLITE_(CORRUPT|NOTADB)/.test(error.code);
}

function damaged(path: string, verdict: string): Error {
  return new Error(`${path} is damaged (${verdict}). It was left as it is: restore a backup`);
}

function isOlder(version: string, than: string): boolean {
  return version.localeCompare(than, "en", { numeric: true }) < 0;
}

/** Statements are prepared once: preparing costs more than running them. */
function createDialect(database: Database.Database): Dialect {
  const statements = new LRUCache<string, SqliteStatement>({ max: 500 });
  const cached: SqliteDatabase = {
    close: () => void database.close(),
    prepare(sql) {
      let statement = statements.get(sql);
      if (!statement) {
        statement = exactIntegers(database.prepare(sql));
        statements.set(sql, statement);
      }
      return statement;
    },
  };
  const dialect = new SqliteDialect({ database: cached });
  return {
    createAdapter: () => new TransactionalDdlAdapter(),
    createDriver: () => new ImmediateDriver(cached, () => database.inTransaction),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createIntrospector: (db) => dialect.createIntrospector(db),
  };
}

/** Integers beyond 2^53 come back as decimal strings, never rounded. */
function exactIntegers(statement: Database.Statement): SqliteStatement {
  statement.safeIntegers(true);
  return {
    reader: statement.reader,
    all: (parameters) => (statement.all(...parameters) as Record<string, unknown>[]).map(exactRow),
    run: (parameters) => statement.run(...parameters),
    iterate: (parameters) =>
      mapIterator(statement.iterate(...parameters) as IterableIterator<Record<string, unknown>>),
  };
}

function* mapIterator(rows: IterableIterator<Record<string, unknown>>): IterableIterator<unknown> {
  for (const row of rows) yield exactRow(row);
}

function exactRow(row: Record<string, unknown>): Record<string, unknown> {
  for (const column in row) {
    const value = row[column];
    if (typeof value !== "bigint") continue;
    const number = Number(value);
    row[column] = Number.isSafeInteger(number) ? number : value.toString();
  }
  return row;
}

class ImmediateDriver extends SqliteDriver {
  readonly #isInTransaction: () => boolean;

  constructor(database: SqliteDatabase, isInTransaction: () => boolean) {
    super({ database });
    this.#isInTransaction = isInTransaction;
  }

  /** Takes the write lock at once: a read lock that is upgraded later fails without waiting when another process writes. */
  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw("begin immediate"));
  }

  /** SQLite has done it by itself if the disk is full or failed. To ask for it then would hide that error behind another. */
  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.#isInTransaction()) await super.rollbackTransaction(connection);
  }
}

class TransactionalDdlAdapter extends SqliteAdapter {
  /** Kysely leaves SQLite's migrations without a transaction; SQLite can roll back DDL. */
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}
