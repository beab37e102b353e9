import { createHash } from "node:crypto";
import { type Kysely, PostgresAdapter, sql, type Transaction } from "kysely";
import type { DB } from "./schema.ts";

// Where several transactions write at a time, whoever takes several locks takes them in this order, so that no two wait for
// each other: the key of a call, the row of the user, the limits that it shares with others. All that belongs to a user is
// changed under the lock of its row.

/** Whether several transactions can write at a time. SQLite has one writer, and needs none of these locks. */
export function hasManyWriters(db: Pick<Kysely<unknown>, "getExecutor">): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter;
}

/** Makes everyone else who locks one of these names wait until this transaction is over. */
export async function lockNames(trx: Transaction<DB>, names: readonly string[]): Promise<void> {
  if (!hasManyWriters(trx)) return;
  const keys = [...new Set(names.map(lockKey))].sort();
  const locks = keys.map((key) => sql`pg_advisory_xact_lock(${key}::bigint)`);
  await sql`select ${sql.join(locks)}`.execute(trx);
}

/** Makes everyone else who changes this user, or something of it, wait until this transaction is over. */
export async function lockUser(trx: Transaction<DB>, userId: string): Promise<void> {
  if (!hasManyWriters(trx)) return;
  await trx.selectFrom("users").select("user_id").where("user_id", "=", userId).forNoKeyUpdate().execute();
}

/** 64 bits of a digest: that two names share them by chance costs a wait, and nothing else. */
function lockKey(name: string): string {
  return createHash("sha256").update(name).digest().readBigInt64BE().toString();
}
