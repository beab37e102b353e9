import type Database from "better-sqlite3";
import type { SqliteStatement } from "kysely";
import { LRUCache } from "lru-cache";
import type { SqliteHealth } from "./health.ts";
import { createRowReader, type Row } from "./types.ts";

/** How many statements stay prepared. The service has fewer; lists of many lengths could make more of them. */
const preparedMax = 500;

/** Returns a function that prepares statements, each of them once: preparing one costs more than running it. */
export function createStatementCache(
  database: Database.Database,
  health: SqliteHealth,
): (sql: string) => SqliteStatement {
  const statements = new LRUCache<string, SqliteStatement>({ max: preparedMax });
  return (sql) => {
    const known = statements.get(sql);
    if (known) return known;
    const statement = toKysely(
      health.run(() => database.prepare(sql)),
      health,
    );
    statements.set(sql, statement);
    return statement;
  };
}

function toKysely(statement: Database.Statement, health: SqliteHealth): SqliteStatement {
  const toRow = createRowReader(statement);
  return {
    reader: statement.reader,
    all(parameters) {
      const results = health.run(() => statement.all(...parameters));
      for (let i = 0; i < results.length; i++) results[i] = toRow(results[i]);
      return results;
    },
    run: (parameters) => health.run(() => statement.run(...parameters)),
    iterate: (parameters) => mapIterator(statement.iterate(...parameters), toRow),
  };
}

function* mapIterator(
  results: IterableIterator<unknown>,
  toRow: (result: unknown) => Row,
): IterableIterator<Row> {
  for (const result of results) yield toRow(result);
}
