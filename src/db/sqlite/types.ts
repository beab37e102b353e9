import type Database from "better-sqlite3";

export type Row = Record<string, unknown>;

/**
 * Sets a statement up to return exact integers, and returns a function that makes rows of its results. Integers beyond 2^53
 * become decimal strings, never rounded, as on PostgreSQL.
 *
 * better-sqlite3 asks for the column names with each row, which costs more than the row (docs/performance.md#storage). Here they
 * are read once, except for `*`, whose columns can change while the statement is prepared.
 */
export function createRowReader(statement: Database.Statement): (result: unknown) => Row {
  statement.safeIntegers(true);
  if (!statement.reader || statement.source.includes("*")) return (row) => exactRow(row as Row);
  statement.raw(true);
  const names = statement.columns().map(({ name }) => name);
  const empty: Row = Object.fromEntries(names.map((name) => [name, null]));
  return (values) => {
    const row = { ...empty };
    for (let i = 0; i < names.length; i++) row[names[i]!] = exactValue((values as unknown[])[i]);
    return row;
  };
}

function exactRow(row: Row): Row {
  for (const column in row) row[column] = exactValue(row[column]);
  return row;
}

function exactValue(value: unknown): unknown {
  if (typeof value !== "bigint") return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}
