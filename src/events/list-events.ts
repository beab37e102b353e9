import { type Kysely, sql } from "kysely";
import type { DB, UserRow } from "../db/core/schema.ts";
import type { Event } from "./event.ts";

/**
 * Lists events of a user, newest first: at most `limit`, starting at the position `from`, by default the last one. Events of a
 * user with the same id in another organization are not included.
 */
export async function listEvents(
  db: Kysely<DB>,
  user: Pick<UserRow, "org_id" | "user_id" | "last_event">,
  { from = user.last_event, limit }: { from?: number | null | undefined; limit: number },
): Promise<Event[]> {
  return withUserEvents(db, { ...user, last_event: from }, limit)
    .selectFrom("events")
    .innerJoin("user_events", "user_events.position", "events.position")
    .selectAll("events")
    .orderBy("sequence", "desc")
    .execute();
}

/**
 * Starts a query with the positions of a user's events as the CTE `user_events`: walks back from the last event along
 * `previous`, at most `limit` events. No index finds the events of a user.
 */
export function withUserEvents(
  db: Kysely<DB>,
  { org_id, user_id, last_event }: Pick<UserRow, "org_id" | "user_id" | "last_event">,
  limit = Number.MAX_SAFE_INTEGER,
) {
  return db.withRecursive("user_events(position, previous, count)", (cte) =>
    cte
      .selectFrom("events")
      .select(["position", "previous", sql<number>`cast(1 as bigint)`.as("count")])
      .where("position", "=", last_event)
      .where("org_id", "=", org_id)
      .where("user_id", "=", user_id)
      .unionAll(
        cte
          .selectFrom("user_events")
          .innerJoin("events", "events.position", "user_events.previous")
          .select((eb) => ["events.position", "events.previous", eb("user_events.count", "+", 1).as("count")])
          .where("user_events.count", "<", limit),
      ),
  );
}
