import { type Kysely, sql } from "kysely";
import type { DB } from "../../../src/db/core/schema.ts";
import { engine } from "./database.ts";

/** The query plan of a select statement without parameters. */
export async function planOf(db: Kysely<DB>, select: string): Promise<string> {
  if (engine === "sqlite") {
    const { rows } = await sql<{ detail: string }>`explain query plan ${sql.raw(select)}`.execute(db);
    return rows.map((row) => row.detail).join("\n");
  }
  return db.transaction().execute(async (trx) => {
    // PostgreSQL would otherwise scan a table that is empty.
    await sql`set local enable_seqscan = off; set local enable_bitmapscan = off`.execute(trx);
    const { rows } = await sql<{ "QUERY PLAN": string }>`explain ${sql.raw(select)}`.execute(trx);
    return rows.map((row) => row["QUERY PLAN"]).join("\n");
  });
}
