import type { Kysely } from "kysely";
import type { DB, UserRow } from "../db/schema.ts";
import type { Event } from "./event.ts";

/**
 * What happened to a user, the latest first: `most` events, all of them before the sequence `before`. Not what happened
 * to a user of another organization that had the same id.
 */
export async function listEvents(
  db: Kysely<DB>,
  user: UserRow,
  { before, most }: { before?: number | undefined; most: number },
): Promise<Event[]> {
  let query = db
    .selectFrom("events")
    .selectAll()
    .where("org_id", "=", user.org_id)
    .where("user_id", "=", user.user_id)
    .orderBy("sequence", "desc")
    .limit(most);
  if (before !== undefined) query = query.where("sequence", "<", before);
  return query.execute();
}
