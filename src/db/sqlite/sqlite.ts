import { closeSync, existsSync, fsyncSync, linkSync, openSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
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
import { engineTimeoutMs, patienceMs } from "../core/patience.ts";
import type { ImmediateEngine, RunNow } from "../core/prepared.ts";
import { DatabaseRefused, isDamage } from "../core/storage-failure.ts";
import { type Checkpointer, createCheckpointer } from "./checkpoint.ts";
import { SqliteHealth } from "./health.ts";

/** "CSGN": what `PRAGMA application_id` says in a file of ours. */
const applicationId = 0x4353474e;

/** What is left of the log file when it begins anew, in bytes: after a long reader it has grown. */
const logBytesKept = 64 * 1024 * 1024;

/** WAL-reset corruption is fixed from here on (sqlite.org/wal.html#walresetbug). */
const oldestSafeVersion = "3.51.3";

/** A SQLite file that is open. */
export interface Sqlite {
  readonly dialect: Dialect;
  readonly health: SqliteHealth;
  /** Moves what stands in the log into the database when there is enough of it. For after a commit (see `Checkpointer`). */
  readonly checkpoint: Checkpointer["committed"];
  /** Moves all of it. For when there is something in the log without which the database would be nothing. */
  readonly checkpointAll: () => void;
  /**
   * For migrations, which make tables anew that others refer to: to drop the old one would delete those rows, too.
   * (https://www.sqlite.org/lang_altertable.html, "Making Other Kinds Of Table Schema Changes")
   */
  readonly withoutForeignKeys: <T>(run: () => Promise<T>) => Promise<T>;
}

/**
 * Opens (or creates) a SQLite file for durable use: WAL, every commit synced (`synchronous=FULL`; better-sqlite3
 * is compiled so that WAL alone would mean NORMAL), foreign keys on. Waiting for another
 * process that writes is left to `patiently`, so that this one goes on meanwhile.
 *
 * @param path of the file. A new one is readable by its owner alone.
 * @param onFailure is told once, when the disk fails or the database turns out to be damaged while it is used.
 * @param onError is told of what no statement hears of.
 * @throws DatabaseRefused if the file is damaged, emptied, or not a database of this program: it is never replaced.
 *   Or what SQLite throws if it cannot be opened.
 */
export function openSqlite(
  path: string,
  onFailure: (error: Error) => void = () => {},
  onError: (error: Error) => void = () => {},
): Sqlite {
  createIfMissing(path);
  const database = new Database(path, { timeout: patienceMs });
  try {
    prepareFile(database, path);
    database.pragma(`busy_timeout = ${engineTimeoutMs}`);
  } catch (error) {
    database.close();
    throw isDamage(error) ? damaged(path, error.message) : error;
  }
  const health = new SqliteHealth(onFailure);
  const checkpointer = createCheckpointer(database, path, health, onError);
  return {
    dialect: createDialect(database, path, health, checkpointer),
    health,
    checkpoint: checkpointer.committed,
    checkpointAll: () => void health.run(() => database.pragma("wal_checkpoint(TRUNCATE)")),
    async withoutForeignKeys(run) {
      database.pragma("foreign_keys = OFF");
      try {
        return await run();
      } finally {
        database.pragma("foreign_keys = ON");
      }
    },
  };
}

function createIfMissing(path: string): void {
  if (!existsSync(path)) {
    // A log without its database means that the database was lost. SQLite would begin an empty one.
    if (existsSync(`${path}-wal`)) {
      throw new DatabaseRefused(
        `${path}-wal is there but ${path} is not: restore the database, or move the log away`,
      );
    }
    createFile(path);
  }
  if (statSync(path).size === 0 && !existsSync(`${path}-wal`)) {
    throw new DatabaseRefused(
      `${path} is empty: it was cut off or never written. Restore a backup, or remove the file`,
    );
  }
}

/** Makes a new file aside and then gives it its name, so that nobody meets half a one: not after a crash, nor beside us. */
function createFile(path: string): void {
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
    // Another process was faster: its file is as good.
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  } finally {
    for (const part of ["", "-journal", "-wal", "-shm"]) rmSync(draft + part, { force: true });
  }
}

/** So that the names of files are on the disk, too. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function prepareFile(database: Database.Database, path: string): void {
  refuseOldEngine(database.prepare("select sqlite_version()").pluck().get() as string);
  refuseDamaged(database, path);
  const mode = database.pragma("journal_mode = WAL", { simple: true });
  if (mode !== "wal")
    throw new Error(`${path}: the file system does not allow WAL (journal_mode is ${mode})`);
  database.pragma("synchronous = FULL");
  // Our own checkpoints tell of failures, which SQLite would keep to itself after a commit (see checkpoint.ts).
  database.pragma("wal_autocheckpoint = 0");
  database.pragma(`journal_size_limit = ${logBytesKept}`);
  // In KB. With SQLite's 2,000, calls about one of 100,000 users took 5 to 6 % more CPU, as medians of three interleaved runs.
  database.pragma("cache_size = -16384");
  database.pragma("foreign_keys = ON");
  database.pragma("trusted_schema = OFF");
}

/**
 * @param isWhole whether every page is looked at, however many there are. Otherwise a large file is only looked at here and there.
 * @throws DatabaseRefused if the file is damaged, or the database of another program.
 */
export function refuseDamaged(database: Database.Database, path: string, isWhole = false): void {
  if (isWhole || sizeOf(database) <= wholeBytesMax) {
    // Every page is read, indexes are not compared.
    const verdict = database.pragma("quick_check(1)", { simple: true }) as string;
    if (verdict !== "ok") throw damaged(path, verdict);
  } else {
    touchTables(database);
  }
  if (database.pragma("application_id", { simple: true }) !== applicationId) {
    throw new DatabaseRefused(`${path} is not a database of Countersign. It was left as it is`);
  }
}

/** Half a second's reading (2 ms a megabyte). Nobody should wait longer for a start, which may be after a crash. */
const wholeBytesMax = 256 * 1024 * 1024;

/** In bytes, as the database itself has it. SQLite refuses a file that is shorter. */
function sizeOf(database: Database.Database): number {
  const pages = database.pragma("page_count", { simple: true }) as number;
  return pages * (database.pragma("page_size", { simple: true }) as number);
}

/** Reads the schema, and a row of each table. */
function touchTables(database: Database.Database): void {
  const tables = database
    .prepare("select name from sqlite_schema where type = 'table'")
    .pluck()
    .all() as string[];
  for (const table of tables) database.prepare(`select * from "${table}" limit 1`).get();
}

/**
 * Looks at every page and every index of a SQLite file, which a server may use meanwhile. Takes some 30 s a gigabyte.
 *
 * @returns what is wrong, a line each; nothing if it is whole.
 * @throws DatabaseRefused if it is no database at all, or another program's.
 */
export function problemsOf(path: string): string[] {
  const database = new Database(path, { fileMustExist: true, timeout: patienceMs });
  try {
    refuseDamaged(database, path, true);
    const lines = database.prepare("pragma integrity_check(100)").pluck().all() as string[];
    const orphans = database.pragma("foreign_key_check") as { table: string; parent: string }[];
    return [
      ...lines.filter((line) => line !== "ok"),
      ...orphans.slice(0, 100).map(({ table, parent }) => `a row of ${table} belongs to none of ${parent}`),
    ];
  } catch (error) {
    throw isDamage(error) ? damaged(path, error.message) : error;
  } finally {
    database.close();
  }
}

function damaged(path: string, verdict: string): DatabaseRefused {
  return new DatabaseRefused(`${path} is damaged (${verdict}). It was left as it is: restore a backup`);
}

/** @throws if this version of SQLite can corrupt a database that several connections write to (F05). */
export function refuseOldEngine(version: string): void {
  if (version.localeCompare(oldestSafeVersion, "en", { numeric: true }) >= 0) return;
  throw new Error(
    `SQLite ${version} can corrupt a database in WAL mode: ${oldestSafeVersion} or later is needed`,
  );
}

/** Statements are prepared once: preparing costs more than running them. */
function createDialect(
  database: Database.Database,
  path: string,
  health: SqliteHealth,
  checkpointer: Checkpointer,
): Dialect {
  const statements = new LRUCache<string, SqliteStatement>({ max: 500 });
  const cached: SqliteDatabase = {
    close() {
      // To close it would be to write to it.
      if (!health.hasFailed) database.close();
    },
    prepare(sql) {
      let statement = statements.get(sql);
      if (!statement) {
        statement = exactIntegers(
          health.run(() => database.prepare(sql)),
          health,
        );
        statements.set(sql, statement);
      }
      return statement;
    },
  };
  const dialect = new SqliteDialect({ database: cached });
  const isInTransaction = () => database.inTransaction;
  const driver = { database: cached, isInTransaction, path, health, checkpointer };
  return {
    createAdapter: () => new ImmediateAdapter(cached, isInTransaction),
    createDriver: () => new ImmediateDriver(driver),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createIntrospector: (db) => dialect.createIntrospector(db),
  };
}

/** Integers beyond 2^53 come back as decimal strings, never rounded. */
function exactIntegers(statement: Database.Statement, health: SqliteHealth): SqliteStatement {
  statement.safeIntegers(true);
  const rowOf = rowReader(statement);
  return {
    reader: statement.reader,
    all(parameters) {
      const rows = health.run(() => statement.all(...parameters));
      for (let i = 0; i < rows.length; i++) rows[i] = rowOf(rows[i]);
      return rows;
    },
    run: (parameters) => health.run(() => statement.run(...parameters)),
    iterate: (parameters) => mapIterator(statement.iterate(...parameters), rowOf),
  };
}

/**
 * Makes rows of what a statement returns. Its names are asked for once, where they stand in its text: to have them with each
 * row costs more than the row (0.6 us of 2.4 for ten columns). What `*` stands for may change while it is prepared.
 */
function rowReader(statement: Database.Statement): (found: unknown) => Row {
  if (!statement.reader || statement.source.includes("*")) return (row) => exactRow(row as Row);
  statement.raw(true);
  const names = statement.columns().map(({ name }) => name);
  const empty: Row = Object.fromEntries(names.map((name) => [name, null]));
  return (values) => {
    const row = { ...empty };
    for (let i = 0; i < names.length; i++) row[names[i]!] = exact((values as unknown[])[i]);
    return row;
  };
}

type Row = Record<string, unknown>;

function* mapIterator(found: IterableIterator<unknown>, rowOf: (one: unknown) => Row): IterableIterator<Row> {
  for (const one of found) yield rowOf(one);
}

function exactRow(row: Row): Row {
  for (const column in row) row[column] = exact(row[column]);
  return row;
}

function exact(value: unknown): unknown {
  if (typeof value !== "bigint") return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}

interface ImmediateDriverOptions {
  readonly database: SqliteDatabase;
  readonly isInTransaction: () => boolean;
  readonly path: string;
  readonly health: SqliteHealth;
  readonly checkpointer: Checkpointer;
}

class ImmediateDriver extends SqliteDriver {
  readonly #isInTransaction: () => boolean;
  readonly #path: string;
  readonly #health: SqliteHealth;
  readonly #inode: number | undefined;

  readonly #checkpointer: Checkpointer;

  constructor({ database, isInTransaction, path, health, checkpointer }: ImmediateDriverOptions) {
    super({ database });
    this.#isInTransaction = isInTransaction;
    this.#path = path;
    this.#health = health;
    this.#inode = inodeOf(path);
    this.#checkpointer = checkpointer;
  }

  override async destroy(): Promise<void> {
    await this.#checkpointer[Symbol.asyncDispose]();
    await super.destroy();
  }

  /** Takes the write lock at once: a read lock that is upgraded later fails without waiting when another process writes. */
  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw("begin immediate"));
  }

  /** A file that was moved, removed or replaced takes every write, and the next start finds another one. */
  override async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await super.commitTransaction(connection);
    if (inodeOf(this.#path) !== this.#inode) throw this.#health.fail(`${this.#path} was taken away`);
    this.#health.committed();
  }

  /** SQLite has done it by itself if the disk is full or failed. To ask for it then would hide that error behind another. */
  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.#isInTransaction()) await super.rollbackTransaction(connection);
  }
}

/** Of the file of that name. Costs 2 us. */
function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

class ImmediateAdapter extends SqliteAdapter implements ImmediateEngine {
  readonly #database: SqliteDatabase;
  readonly #isInTransaction: () => boolean;

  constructor(database: SqliteDatabase, isInTransaction: () => boolean) {
    super();
    this.#database = database;
    this.#isInTransaction = isInTransaction;
  }

  /** Kysely leaves SQLite's migrations without a transaction; SQLite can roll back DDL. */
  override get supportsTransactionalDdl(): boolean {
    return true;
  }

  prepareNow(sql: string): RunNow {
    const statement = this.#database.prepare(sql);
    return (parameters, isOfTransaction) => {
      if (this.#isInTransaction() !== isOfTransaction) {
        if (isOfTransaction) throw new Error("a statement of a transaction ran after its end");
        return undefined;
      }
      if (statement.reader) return statement.all(parameters);
      statement.run(parameters);
      return [];
    };
  }
}
