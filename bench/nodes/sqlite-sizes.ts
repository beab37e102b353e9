import Database from "better-sqlite3";
import type { TableSize } from "./cluster.ts";

/** The sizes of the tables of a SQLite file. */
export function sqliteSizes(path: string): TableSize[] {
  const database = new Database(path, { readonly: true });
  try {
    const tables = database
      .prepare(
        "select name from sqlite_schema where type = 'table' and name not like 'sqlite%' and name not like 'kysely%' order by name",
      )
      .pluck()
      .all() as string[];
    const bytes = database
      .prepare(
        `select sum(pgsize) from dbstat where aggregate = true and name in
           (select name from sqlite_schema where tbl_name = ? and (type = 'index') = ?)`,
      )
      .pluck();
    return tables
      .map((table) => ({
        table,
        rows: database.prepare(`select count(*) from "${table}"`).pluck().get() as number,
        rowBytes: (bytes.get(table, 0) as number | null) ?? 0,
        indexBytes: (bytes.get(table, 1) as number | null) ?? 0,
      }))
      .filter(({ rows }) => rows > 0);
  } finally {
    database.close();
  }
}
