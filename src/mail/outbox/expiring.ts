import type { Kysely } from "kysely";
import type { ExpiringRows } from "../../db/core/expiring.ts";
import { firstIdAt } from "../../db/core/id.ts";
import type { DB } from "../../db/core/schema.ts";
import { dayMs } from "../../lib/time.ts";

/**
 * How long a mail is kept after it was queued: servers retry for four to five days (RFC 5321 §4.5.4.1), and it may bounce
 * until then. Its result stays with the authenticator and in the audit log.
 */
const keptMs = 7 * dayMs;

/** Mails that were queued a week ago and are settled. */
export const expiredMails: ExpiringRows = {
  table: "outbox",
  async exist(db, now) {
    return (await selectExpired(db, now).limit(1).executeTakeFirst()) !== undefined;
  },
  async delete(trx, now, limit) {
    await trx.deleteFrom("outbox").where("mail_id", "in", selectExpired(trx, now).limit(limit)).execute();
  },
};

/** Found by id: it has the time at which the mail was queued. */
function selectExpired(db: Kysely<DB>, now: number) {
  return db
    .selectFrom("outbox")
    .select("mail_id")
    .where("mail_id", "<", firstIdAt(now - keptMs))
    .where("state", "!=", "queued")
    .orderBy("mail_id");
}
