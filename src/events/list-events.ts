import { type Kysely, sql } from "kysely";
import type { DB, UserRow } from "../db/core/schema.ts";
import type { Event } from "./event.ts";

/**
 * What happened to a user, the latest first: `most` events, from the position `from` on or from the last one. Not what
 * happened to a user of another organization that had the same id.
 */
export async function listEvents(
  db: Kysely<DB>,
  user: Pick<UserRow, "org_id" | "user_id" | "last_event">,
  { from = user.last_event, limit }: { from?: number | null | undefined; limit: number },
): Promise<Event[]> {
  return withUserEvents(db, { ...user, last_event: from }, limit)
    .selectFrom("events")
    .innerJoin("trail", "trail.position", "events.position")
    .selectAll("events")
    .orderBy("sequence", "desc")
    .execute();
}

/** Adds to a query the positions of the events of a user as `trail`, from the last one back along the links, `most` or all. */
export function withUserEvents(
  db: Kysely<DB>,
  { org_id, user_id, last_event }: Pick<UserRow, "org_id" | "user_id" | "last_event">,
  limit = Number.MAX_SAFE_INTEGER,
) {
  return db.withRecursive("trail(position, previous, count)", (cte) =>
    cte
      .selectFrom("events")
      .select(["position", "previous", sql<number>`cast(1 as bigint)`.as("count")])
      .where("position", "=", last_event)
      .where("org_id", "=", org_id)
      .where("user_id", "=", user_id)
      .unionAll(
        cte
          .selectFrom("trail")
          .innerJoin("events", "events.position", "trail.previous")
          .select((eb) => ["events.position", "events.previous", eb("trail.count", "+", 1).as("count")])
          .where("trail.count", "<", limit),
      ),
  );
}
