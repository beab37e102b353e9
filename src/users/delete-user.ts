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
 * Deletes a user with its authenticators, their codes and queued mails, in one transaction.
 *
 * The audit log keeps its events and gets a last one. Events contain no email address and no name. The client addresses of
 * the user's own calls, and of clicks on links in its mails, are erased.
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
    if (!(await stillExists(trx, user))) throw userNotFound();
    const slot = await reserveEvent(trx, clock, user.user_id);
    const details = await writeEvent(trx, slot, { ...cause, type: "user.deleted" });
    await closeAuditLog(trx, slot);
    // Foreign keys delete the authenticators, challenges and mails.
    await trx.deleteFrom("users").where("user_id", "=", user.user_id).execute();
    return details;
  });
}

/** False too if the id was taken in another organization since. */
async function stillExists(trx: Transaction<DB>, user: UserRow): Promise<boolean> {
  const row = await trx
    .selectFrom("users")
    .select("user_id")
    .where("user_id", "=", user.user_id)
    .where("org_id", "=", user.org_id)
    .executeTakeFirst();
  return row !== undefined;
}

/** Erases the client addresses of the user, and records its last event, which a new user of the same id continues from. */
async function closeAuditLog(
  trx: Transaction<DB>,
  { orgId, userId, sequence, position }: EventSlot,
): Promise<void> {
  await withUserEvents(trx, { org_id: orgId, user_id: userId, last_event: position })
    .updateTable("events")
    .set({ client_address: null })
    .where("position", "in", (eb) => eb.selectFrom("user_events").select("position"))
    .where("actor", "in", [userId, mailReader])
    .execute();
  const end = { sequence, last_event: position };
  await trx
    .insertInto("ended_trails")
    .values({ org_id: orgId, user_id: userId, ...end })
    .onConflict((conflict) => conflict.columns(["org_id", "user_id"]).doUpdateSet(end))
    .execute();
}
