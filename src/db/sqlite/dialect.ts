import { statSync } from "node:fs";
import type Database from "better-sqlite3";
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  SqliteAdapter,
  type SqliteDatabase,
  SqliteDialect,
  SqliteDriver,
} from "kysely";
import type { RunSync, SyncAdapter } from "../core/prepared.ts";
import type { SqliteHealth } from "./health.ts";
import { createStatementCache } from "./statements.ts";

export interface DialectOptions {
  readonly database: Database.Database;
  readonly path: string;
  readonly health: SqliteHealth;
  /** Called before the database is closed. */
  readonly onClose: () => PromiseLike<void>;
}

/** Kysely's dialect for an open file, which also runs statements synchronously (see `SyncAdapter`). */
export function createDialect(options: DialectOptions): Dialect {
  const { database, health } = options;
  const cached: SqliteDatabase = {
    prepare: createStatementCache(database, health),
    close() {
      // Closing would write to a disk that has failed.
      if (!health.hasFailed) database.close();
    },
  };
  const dialect = new SqliteDialect({ database: cached });
  return {
    createAdapter: () => new SqliteSyncAdapter(cached, () => database.inTransaction),
    createDriver: () => new DurableDriver(cached, options),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createIntrospector: (db) => dialect.createIntrospector(db),
  };
}

class DurableDriver extends SqliteDriver {
  readonly #options: DialectOptions;
  readonly #inode: number | undefined;

  constructor(database: SqliteDatabase, options: DialectOptions) {
    super({ database });
    this.#options = options;
    this.#inode = inodeOf(options.path);
  }

  override async destroy(): Promise<void> {
    await this.#options.onClose();
    await super.destroy();
  }

  /** Takes the write lock at once: upgrading a read lock later fails without waiting if another process writes. */
  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw("begin immediate"));
  }

  /** Fails if the file was moved, removed or replaced: it would take writes that no restart finds. */
  override async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await super.commitTransaction(connection);
    const { path, health } = this.#options;
    if (inodeOf(path) !== this.#inode) throw health.fail(`${path} was taken away`);
    health.committed();
  }

  /** SQLite rolls back by itself when the disk is full or fails. Rolling back again would hide that error behind another. */
  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.#options.database.inTransaction) await super.rollbackTransaction(connection);
  }
}

/** The inode that a path names now. Costs 2 us. */
function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

class SqliteSyncAdapter extends SqliteAdapter implements SyncAdapter {
  readonly #database: SqliteDatabase;
  readonly #isInTransaction: () => boolean;

  constructor(database: SqliteDatabase, isInTransaction: () => boolean) {
    super();
    this.#database = database;
    this.#isInTransaction = isInTransaction;
  }

  /** Kysely runs SQLite's migrations without a transaction, although SQLite can roll back DDL. */
  override get supportsTransactionalDdl(): boolean {
    return true;
  }

  prepareSync(sql: string): RunSync {
    const statement = this.#database.prepare(sql);
    return (parameters, isInTransaction) => {
      if (this.#isInTransaction() !== isInTransaction) {
        if (isInTransaction) throw new Error("a statement of a transaction ran after its end");
        return undefined;
      }
      if (statement.reader) return statement.all(parameters);
      statement.run(parameters);
      return [];
    };
  }
}
