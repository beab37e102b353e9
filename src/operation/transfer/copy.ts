import { createHash } from "node:crypto";
import { sql } from "kysely";
import { hasManyWriters } from "../../db/core/lock.ts";
import type { DB } from "../../db/core/schema.ts";
import type { Store } from "../../db/store.ts";

/** All tables with their primary keys. A table comes before those that refer to it. */
export const copiedTables = {
  users: ["user_id"],
  events: ["position"],
  ended_trails: ["org_id", "user_id"],
  otp_emails: ["otp_email_id"],
  challenges: ["challenge_id"],
  outbox: ["mail_id"],
  removed_otp_emails: ["digest"],
  hits: ["digest", "time"],
  idempotency_keys: ["digest"],
  suppressions: ["digest"],
} as const satisfies { readonly [T in keyof DB]: readonly (keyof DB[T] & string)[] };

export type CopiedTable = keyof typeof copiedTables;

export interface CopyOptions {
  /** Called after each chunk with the number of rows of the table that are done, and of all. */
  readonly onProgress?: (table: CopiedTable, done: number, all: number) => void;
  readonly signal?: AbortSignal;
}

export interface CopiedRows {
  readonly table: CopiedTable;
  readonly rows: number;
  /** How many of them were missing or different before. */
  readonly changed: number;
  /** SHA-256 over all rows in the order of their keys, in hexadecimal. The same for both databases. */
  readonly checksum: string;
}

/** The databases differ after a copy, because one of them was written to during it. */
export class DatabasesDiffer extends Error {
  override readonly name = "DatabasesDiffer";
}

/** How many rows are compared and written at once. */
const chunkRows = 500;

type Value = string | number | null | Uint8Array;
type Row = Readonly<Record<string, Value>>;

interface Table {
  readonly name: CopiedTable;
  readonly keys: readonly string[];
  /** The columns that both databases have. */
  readonly columns: readonly string[];
}

/**
 * Makes one database equal to another, on whichever engines. Rows that are equal are left alone, so that running it again
 * resumes an interrupted copy, or quickly updates one that was made while the service ran. In the end both databases are read
 * and compared.
 *
 * @param from has all migrations.
 * @param to has all migrations, too, and is not in use.
 * @throws DatabasesDiffer; or what either database throws: rows copied until then stay.
 */
export async function copyDatabase(
  from: Store,
  to: Store,
  { onProgress, signal }: CopyOptions = {},
): Promise<CopiedRows[]> {
  const tables = await tablesOf(from, to);
  // Deletes come first: a deleted row may hold a unique value that another row has now. Referring rows go before their targets.
  for (const table of tables.toReversed()) await deleteGone(from, to, table, signal);
  const changed = new Map<CopiedTable, number>();
  for (const table of tables) {
    const all = await countOf(from, table);
    let done = 0;
    onProgress?.(table.name, done, all);
    for await (const rows of chunksOf(from, table, signal)) {
      changed.set(table.name, (changed.get(table.name) ?? 0) + (await writeChanged(to, table, rows)));
      done += rows.length;
      onProgress?.(table.name, done, Math.max(all, done));
    }
  }
  if (hasManyWriters(to.db)) await continuePositions(to);

  const copied: CopiedRows[] = [];
  for (const table of tables) {
    const original = await digestOf(from, table, signal);
    const copy = await digestOf(to, table, signal);
    if (original.checksum !== copy.checksum) throw differs(table, original.rows, copy.rows);
    copied.push({ table: table.name, ...copy, changed: changed.get(table.name) ?? 0 });
  }
  return copied;
}

async function tablesOf(from: Store, to: Store): Promise<Table[]> {
  const [ours, theirs] = await Promise.all([columnsOf(from), columnsOf(to)]);
  return Object.entries(copiedTables).map(([name, keys]) => {
    const columns = (ours.get(name) ?? []).filter((column) => theirs.get(name)?.includes(column));
    return { name: name as CopiedTable, keys, columns: columns.sort() };
  });
}

async function columnsOf({ db }: Store): Promise<Map<string, string[]>> {
  const tables = await db.introspection.getTables();
  return new Map(tables.map(({ name, columns }) => [name, columns.map((column) => column.name)]));
}

async function countOf({ db }: Store, { name }: Table): Promise<number> {
  const { rows } = await sql<{ count: number }>`select count(*) as count from ${sql.table(name)}`.execute(db);
  return rows[0]?.count ?? 0;
}

async function deleteGone(from: Store, to: Store, table: Table, signal?: AbortSignal): Promise<void> {
  for await (const rows of chunksOf(to, table, signal)) {
    const kept = await textsOf(from, table, rows);
    const gone = rows.filter((row) => !kept.has(keyOf(table, row)));
    if (gone.length === 0) continue;
    await to.write((trx) =>
      sql`delete from ${sql.table(table.name)} where ${isOneOf(table, gone)}`.execute(trx),
    );
  }
}

/** @returns how many rows were written. */
async function writeChanged(to: Store, table: Table, rows: readonly Row[]): Promise<number> {
  const existing = await textsOf(to, table, rows);
  const changed = rows.filter((row) => existing.get(keyOf(table, row)) !== textOf(table, row));
  if (changed.length === 0) return 0;
  const { name, keys, columns } = table;
  const lists = changed.map((row) => sql`(${sql.join(columns.map((column) => row[column]))})`);
  const sets = columns
    .filter((column) => !keys.includes(column))
    .map((column) => sql`${sql.ref(column)} = excluded.${sql.ref(column)}`);
  await to.write((trx) =>
    sql`insert into ${sql.table(name)} (${refs(columns)}) values ${sql.join(lists)}
      on conflict (${refs(keys)}) do update set ${sql.join(sets)}`.execute(trx),
  );
  return changed.length;
}

/** Lets positions continue after the last one copied. SQLite does so by itself. */
async function continuePositions(to: Store): Promise<void> {
  const last = sql`(select coalesce(max(position), 0) from events)`;
  await to.write((trx) => sql`select setval('event_positions', ${last} + 1, false)`.execute(trx));
}

async function digestOf(store: Store, table: Table, signal?: AbortSignal) {
  const hash = createHash("sha256");
  let rows = 0;
  for await (const chunk of chunksOf(store, table, signal)) {
    for (const row of chunk) hash.update(textOf(table, row)).update("\n");
    rows += chunk.length;
  }
  return { rows, checksum: hash.digest("hex") };
}

/** All rows of a table in the order of their keys. */
async function* chunksOf({ db }: Store, table: Table, signal?: AbortSignal): AsyncGenerator<Row[]> {
  const { name, keys, columns } = table;
  let after = sql``;
  for (;;) {
    signal?.throwIfAborted();
    const { rows } = await sql<Row>`select ${refs(columns)} from ${sql.table(name)} ${after}
      order by ${refs(keys)} limit ${sql.lit(chunkRows)}`.execute(db);
    const last = rows.at(-1);
    if (!last) return;
    yield rows;
    after = sql`where (${refs(keys)}) > (${sql.join(keys.map((key) => last[key]))})`;
  }
}

/** The rows with the same keys: their texts by their keys. */
async function textsOf({ db }: Store, table: Table, rows: readonly Row[]): Promise<Map<string, string>> {
  const found = await sql<Row>`select ${refs(table.columns)} from ${sql.table(table.name)}
    where ${isOneOf(table, rows)}`.execute(db);
  return new Map(found.rows.map((row) => [keyOf(table, row), textOf(table, row)]));
}

function isOneOf({ keys }: Table, rows: readonly Row[]) {
  const [key, ...others] = keys;
  if (key !== undefined && others.length === 0)
    return sql`${sql.ref(key)} in (${sql.join(rows.map((row) => row[key]))})`;
  const alternatives = rows.map((row) =>
    sql.join(
      keys.map((key) => sql`${sql.ref(key)} = ${row[key]}`),
      sql` and `,
    ),
  );
  return sql`(${sql.join(alternatives, sql` or `)})`;
}

function refs(names: readonly string[]) {
  return sql.join(names.map((name) => sql.ref(name)));
}

function keyOf({ keys }: Table, row: Row): string {
  return JSON.stringify(keys.map((key) => row[key]));
}

/** Equal for equal values, whichever engine they come from. */
function textOf({ columns }: Table, row: Row): string {
  return JSON.stringify(columns.map((column) => toJson(row[column])));
}

function toJson(value: Value | undefined): unknown {
  return value instanceof Uint8Array ? { bytes: Buffer.from(value).toString("base64") } : value;
}

function differs({ name }: Table, original: number, copy: number): DatabasesDiffer {
  return new DatabasesDiffer(
    `${name} differs between the databases (${original} rows, ${copy} in the copy): it was written to during the copy. ` +
      "Stop the service and run this again: only changes are copied",
  );
}
