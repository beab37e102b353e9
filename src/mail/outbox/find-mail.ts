import type { Kysely } from "kysely";
import type { DB, OutboxRow } from "../../db/core/schema.ts";

export function findMailById(db: Kysely<DB>, mailId: string): Promise<OutboxRow | undefined> {
  return db.selectFrom("outbox").selectAll().where("mail_id", "=", mailId).executeTakeFirst();
}

/** @param messageId with its angle brackets. */
export function findMailByMessageId(db: Kysely<DB>, messageId: string): Promise<OutboxRow | undefined> {
  return db.selectFrom("outbox").selectAll().where("message_id", "=", messageId).executeTakeFirst();
}
