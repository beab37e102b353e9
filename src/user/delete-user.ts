import type { Transaction } from "kysely";
import type { Clock } from "../clock.ts";
import { lockUser } from "../db/lock.ts";
import type { Store } from "../db/open.ts";
import type { DB, UserRow } from "../db/schema.ts";
import { appendEvent, type Cause, type Details, mailReader } from "./event.ts";
import { userNotFound } from "./refusals.ts";

/**
 * Deletes a user, with its authenticators, their codes and the mails that wait, in one transaction.
 *
 * The trail of its events stays and gets a last one. It has no email address and no name; the client addresses from which
 * the user itself called, or somebody used the links of its mails, are forgotten.
 *
 * @throws NOT_FOUND
 */
export async function deleteUser(
  store: Store,
  clock: Clock,
  { user, ...cause }: Cause & { readonly user: UserRow },
): Promise<Details> {
  return store.writeFor(cause.caller, async (trx) => {
    await lockUser(trx, user.user_id);
    if (!(await isThere(trx, user))) throw userNotFound();
    const details = await appendEvent(trx, clock, { ...cause, userId: user.user_id, type: "user.deleted" });
    await forgetClientAddresses(trx, user);
    // What belongs to it goes by foreign keys: authenticators, and with them their mails.
    await trx.deleteFrom("users").where("user_id", "=", user.user_id).execute();
    return details;
  });
}

/** Still there, and no other user that has taken the id meanwhile. */
async function isThere(trx: Transaction<DB>, user: UserRow): Promise<boolean> {
  const row = await trx
    .selectFrom("users")
    .select("user_id")
    .where("user_id", "=", user.user_id)
    .where("org_id", "=", user.org_id)
    .executeTakeFirst();
  return row !== undefined;
}

async function forgetClientAddresses(trx: Transaction<DB>, user: UserRow): Promise<void> {
  await trx
    .updateTable("events")
    .set({ client_address: null })
    .where("org_id", "=", user.org_id)
    .where("user_id", "=", user.user_id)
    .where("actor", "in", [user.user_id, mailReader])
    .execute();
}
