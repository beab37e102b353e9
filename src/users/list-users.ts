import type { Kysely } from "kysely";
import type { DB, UserRow, UserState } from "../db/core/schema.ts";
import type { Organizations } from "../events/event-feed.ts";

export interface UserFilter {
  readonly state?: UserState | undefined;
  /** Matches users that have an authenticator with this canonical address. */
  readonly canonicalAddress?: string | undefined;
}

/** The last user of a page. */
export interface UserCursor {
  readonly orgId: string;
  readonly userId: string;
}

/**
 * Lists users of these organizations, ordered by organization and id: at most `limit`, after the user `after`.
 *
 * The order is that of the indexes `users_of_org` and `users_by_state`, so that SQLite reads from the cursor on without sorting.
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
