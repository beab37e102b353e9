import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Database from "better-sqlite3";
import { sql } from "kysely";
import pg from "pg";
import { inject, onTestFinished } from "vitest";
import { openStore, type Store } from "../../../src/db/store.ts";
import type { OnEnd } from "../folder.ts";
import { memoryFolder } from "./memory-folder.ts";
import { templateName } from "./postgres-cluster.ts";

/** The engine that this run tests. */
export const engine = inject("postgresUrl") === undefined ? "sqlite" : "postgres";

const urls = new Map<string, string>();

/** The URL of the database that belongs to a data folder: the same for the same folder, until the test ends. */
export async function databaseUrlOf(dataDir: string, onEnd: OnEnd = onTestFinished): Promise<string> {
  const server = inject("postgresUrl");
  if (server === undefined) return `sqlite:${join(dataDir, "countersign.db")}`;
  const known = urls.get(dataDir);
  if (known !== undefined) return known;
  const url = await createDatabase(server, onEnd);
  urls.set(dataDir, url);
  return url;
}

/** Opens a new database with all tables. With the same folder it opens the same database again. */
export async function openTestStore(folder = memoryFolder()): Promise<Store> {
  const store = openStore(await databaseUrlOf(folder));
  onTestFinished(() => store[Symbol.asyncDispose]());
  await store.migrate();
  return store;
}

/** Opens a new database without tables. */
export async function emptyTestStore(): Promise<Store> {
  const url = engine === "sqlite" ? `sqlite:${join(memoryFolder(), "empty.db")}` : await emptyDatabaseUrl();
  const store = openStore(url);
  onTestFinished(() => store[Symbol.asyncDispose]());
  return store;
}

/** The whole content of the folder's database, as text. It must not be open elsewhere. */
export async function dumpOf(dataDir: string): Promise<string> {
  const url = await databaseUrlOf(dataDir);
  if (url.startsWith("sqlite:")) {
    const files = readdirSync(dataDir).filter((name) => name.startsWith("countersign.db"));
    return files.map((name) => readFileSync(join(dataDir, name), "latin1")).join("");
  }
  return withClient(url, async (client) => {
    const { rows: tables } = await client.query<{ tablename: string }>(
      "select tablename from pg_tables where schemaname = 'public'",
    );
    const texts = await Promise.all(
      tables.map(({ tablename }) => client.query(`select * from ${tablename}`).then(({ rows }) => rows)),
    );
    return JSON.stringify(texts);
  });
}

/** Waits until no transaction of another test on the same server holds back events from watchers. */
export async function eventsSettled({ db }: Store): Promise<void> {
  if (engine === "sqlite") return;
  const isThere = sql<{ is: boolean }>`select exists (
    select from events where xid >= pg_snapshot_xmin(pg_current_snapshot())) as is`;
  while ((await isThere.execute(db)).rows[0]?.is) await sleep(5);
}

/** Blocks all writes to the folder's database until it is released. */
export async function holdDatabase(dataDir: string): Promise<HeldDatabase> {
  const url = await databaseUrlOf(dataDir);
  if (url.startsWith("sqlite:")) {
    const database = new Database(url.slice("sqlite:".length));
    onTestFinished(() => void database.close());
    database.exec("begin immediate");
    return { release: async () => void database.exec("rollback"), blocked: () => sleep(100) };
  }
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  await client.connect();
  onTestFinished(() => client.end());
  await client.query("begin; lock table users in exclusive mode");
  const blocked = sql<{ count: number }>`select count(*)::int as count from pg_locks
    where not granted and database = (select oid from pg_database where datname = current_database())`;
  const other = openStore(url);
  onTestFinished(() => other[Symbol.asyncDispose]());
  return {
    release: async () => void (await client.query("rollback")),
    async blocked(count) {
      while (((await blocked.execute(other.db)).rows[0]?.count ?? 0) < count) await sleep(5);
    },
  };
}

export interface HeldDatabase {
  release(): Promise<void>;
  /** Waits until that many writes are blocked, on an engine where they block in the database. */
  blocked(count: number): Promise<void>;
}

/** Creates a PostgreSQL database without tables. */
export function emptyDatabaseUrl(): Promise<string> {
  return createDatabase(inject("postgresUrl") ?? "", onTestFinished, "template0");
}

async function createDatabase(server: string, onEnd: OnEnd, template = templateName): Promise<string> {
  const name = `test_${randomUUID().replaceAll("-", "")}`;
  await run(server, `create database ${name} template ${template} strategy file_copy`);
  onEnd(() => run(server, `drop database ${name} with (force)`));
  return `${server}/${name}`;
}

async function run(server: string, statement: string): Promise<void> {
  await withClient(`${server}/postgres`, (client) => client.query(statement));
}

export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
