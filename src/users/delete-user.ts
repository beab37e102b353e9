import type { Transaction } from "kysely";
import { lockUser } from "../db/core/lock.ts";
import type { DB, UserRow } from "../db/core/schema.ts";
import type { Store } from "../db/store.ts";
import {
  type Cause,
  type Details,
  type EventSlot,
  mailReader,
  reserveEvent,
  writeEvent,
} from "../events/event.ts";
import { withUserEvents } from "../events/list-events.ts";
import type { Clock } from "../lib/clock.ts";
import { userNotFound } from "../lib/user-refusals.ts";

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
    const slot = await reserveEvent(trx, clock, user.user_id);
    const details = await writeEvent(trx, slot, { ...cause, type: "user.deleted" });
    await closeAuditLog(trx, slot);
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

/** Forgets the client addresses of the user itself, and keeps where the trail ends. */
async function closeAuditLog(
  trx: Transaction<DB>,
  { orgId, userId, sequence, position }: EventSlot,
): Promise<void> {
  await withUserEvents(trx, { org_id: orgId, user_id: userId, last_event: position })
    .updateTable("events")
    .set({ client_address: null })
    .where("position", "in", (eb) => eb.selectFrom("trail").select("position"))
    .where("actor", "in", [userId, mailReader])
    .execute();
  const end = { sequence, last_event: position };
  await trx
    .insertInto("ended_trails")
    .values({ org_id: orgId, user_id: userId, ...end })
    .onConflict((conflict) => conflict.columns(["org_id", "user_id"]).doUpdateSet(end))
    .execute();
}
