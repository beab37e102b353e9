import type { Kysely, Transaction } from "kysely";
import type { DB } from "./schema.ts";

/** Rows that the sweeper deletes in batches. The room that writes a table declares when its rows expire. */
export interface ExpiringRows {
  readonly table: keyof DB;
  /**
   * Whether any have expired. A read, so that the write lock is only taken if there is something to delete.
   *
   * @param now milliseconds since the epoch.
   */
  exist(db: Kysely<DB>, now: number): Promise<boolean>;
  /** Deletes the expired rows of up to `limit` keys. */
  delete(trx: Transaction<DB>, now: number, limit: number): Promise<void>;
}

/** Tables with the column `expire_time`. */
type ExpiringTable = {
  [T in keyof DB]: DB[T] extends { readonly expire_time: unknown } ? T : never;
}[keyof DB];

type Key = "digest" | "challenge_id";

/**
 * The rows whose `expire_time`, in milliseconds since the epoch, has passed. The table needs an index on it.
 *
 * @param keyOfTable the column, or the first of the columns, of the primary key.
 */
export function expiredRows<T extends ExpiringTable>(
  tableName: T,
  keyOfTable: keyof DB[T] & Key,
): ExpiringRows {
  // Kysely checks queries on a union of tables, but not on a type parameter.
  const table: ExpiringTable = tableName;
  const key: Key = keyOfTable;
  return {
    table,
    async exist(db, now) {
      const row = await db
        .selectFrom(table)
        .select("expire_time")
        .where("expire_time", "<=", now)
        .limit(1)
        .executeTakeFirst();
      return row !== undefined;
    },
    async delete(trx, now, limit) {
      await trx
        .deleteFrom(table)
        .where(key, "in", (eb) =>
          eb.selectFrom(table).select(key).where("expire_time", "<=", now).limit(limit),
        )
        .where("expire_time", "<=", now)
        .execute();
    },
  };
}
