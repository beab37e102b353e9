import { type Kysely, sql } from "kysely";
import { hasManyWriters } from "../core/lock.ts";

/**
 * Which transaction wrote an event. Positions are given before the commit: where several transactions write at a time, one
 * with a lower position may be committed after one with a higher, and only this tells a reader how far nothing can be added.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  if (!hasManyWriters(db)) return;
  await sql`alter table events add column xid xid8 not null default pg_current_xact_id()`.execute(db);
}
