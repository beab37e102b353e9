import { type Kysely, sql } from "kysely";
import { hasManyWriters } from "../core/lock.ts";

/**
 * Stores which transaction wrote an event. Positions are assigned before the commit: with concurrent transactions a lower position
 * can be committed after a higher one, and only this shows up to where the log is complete.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  if (!hasManyWriters(db)) return;
  await sql`alter table events add column xid xid8 not null default pg_current_xact_id()`.execute(db);
}
