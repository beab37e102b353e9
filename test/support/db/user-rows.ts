import type { Transaction } from "kysely";
import type { DB } from "../../../src/db/core/schema.ts";
import type { Store } from "../../../src/db/store.ts";
import { openTestStore } from "./database.ts";
import { memoryFolder } from "./memory-folder.ts";

/** The row of a user. */
export const userRow = {
  user_id: "u",
  org_id: "o",
  state: "active",
  preferred_language: null,
  display_name: null,
  sequence: 0,
  create_time: 1,
  change_time: 1,
} as const;

/** Opens a store with the users u and v. */
export async function openWithTwoUsers(folder = memoryFolder()): Promise<Store> {
  const store = await openTestStore(folder);
  await store.write((trx) =>
    trx
      .insertInto("users")
      .values([userRow, { ...userRow, user_id: "v" }])
      .execute(),
  );
  return store;
}

/** Increments the sequence of a user, under the lock of its row. */
export async function touch(trx: Transaction<DB>, userId: string): Promise<void> {
  await trx
    .updateTable("users")
    .set((eb) => ({ sequence: eb("sequence", "+", 1) }))
    .where("user_id", "=", userId)
    .execute();
}

/** The sequences of all users, in the order of their ids. */
export async function sequencesOf({ db }: Store): Promise<number[]> {
  const rows = await db.selectFrom("users").select("sequence").orderBy("user_id").execute();
  return rows.map(({ sequence }) => sequence);
}
