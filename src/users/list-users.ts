import type { Kysely } from "kysely";
import type { DB, UserRow, UserState } from "../db/core/schema.ts";
import type { Organizations } from "../events/event-feed.ts";

export interface UserFilter {
  readonly state?: UserState | undefined;
  /** The canonical form of an address that one of the user's authenticators has. */
  readonly canonicalAddress?: string | undefined;
}

/** Where a page ended. */
export interface UserCursor {
  readonly orgId: string;
  readonly userId: string;
}

/**
 * The users of organizations that meet a filter, by organization and id: `most` of them, beginning behind `after`.
 *
 * In this order SQLite walks the index `users_of_org` or `users_by_state` from the cursor on, and sorts nothing.
 */
export async function listUsers(
  db: Kysely<DB>,
  organizations: Organizations,
  { state, canonicalAddress }: UserFilter,
  { after, limit }: { after?: UserCursor | undefined; limit: number },
): Promise<UserRow[]> {
  let query = db.selectFrom("users").selectAll().orderBy("org_id").orderBy("user_id").limit(limit);
  if (organizations !== "all") query = query.where("org_id", "in", [...organizations]);
  if (state !== undefined) query = query.where("state", "=", state);
  if (canonicalAddress !== undefined) {
    query = query.where("user_id", "in", (eb) =>
      eb.selectFrom("otp_emails").select("user_id").where("address_canonical", "=", canonicalAddress),
    );
  }
  if (after !== undefined) {
    query = query.where((eb) =>
      eb(eb.refTuple("org_id", "user_id"), ">", eb.tuple(after.orgId, after.userId)),
    );
  }
  return query.execute();
}
