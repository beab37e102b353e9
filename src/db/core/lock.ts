import { createHash } from "node:crypto";
import { type Kysely, PostgresAdapter, sql, type Transaction } from "kysely";
import type { DB } from "./schema.ts";

// To avoid deadlocks, a transaction that takes several locks takes them in this order: the key of the call, the row of the
// user, the limits it shares with others. Everything that belongs to a user is changed under the lock of the user's row.

/** Whether transactions can write concurrently. SQLite has one writer at a time and needs none of these locks. */
export function hasManyWriters(db: Pick<Kysely<unknown>, "getExecutor">): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter;
}

/** Blocks other transactions that lock one of these names, until this transaction ends. */
export async function lockNames(trx: Transaction<DB>, names: readonly string[]): Promise<void> {
  if (!hasManyWriters(trx)) return;
  const keys = [...new Set(names.map(lockKey))].sort();
  const locks = keys.map((key) => sql`pg_advisory_xact_lock(${key}::bigint)`);
  await sql`select ${sql.join(locks)}`.execute(trx);
}

/** Blocks other transactions that change this user or anything that belongs to it, until this transaction ends. */
export async function lockUser(trx: Transaction<DB>, userId: string): Promise<void> {
  if (!hasManyWriters(trx)) return;
  await trx.selectFrom("users").select("user_id").where("user_id", "=", userId).forNoKeyUpdate().execute();
}

/** The first 64 bits of a digest. Two names that collide only wait for each other. */
function lockKey(name: string): string {
  return createHash("sha256").update(name).digest().readBigInt64BE().toString();
}
