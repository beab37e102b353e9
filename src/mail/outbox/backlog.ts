import type { Kysely } from "kysely";
import type { DB } from "../../db/core/schema.ts";

/** The mails that are waiting to be sent. */
export interface Backlog {
  /** At most `backlogMax`, which means that many or more. */
  readonly mails: number;
  /** When the oldest of them was queued, in milliseconds since the epoch. Undefined if there are none. */
  readonly oldestTime: number | undefined;
}

/** Bounds the count, so that looking at a long queue doesn't add to its load. */
export const backlogMax = 10_000;

export async function readBacklog(db: Kysely<DB>): Promise<Backlog> {
  const { mails, oldestTime } = await db
    .selectFrom((eb) =>
      eb
        .selectFrom("outbox")
        .select("create_time")
        .where("state", "=", "queued")
        .orderBy("next_attempt_time")
        .limit(backlogMax)
        .as("waiting"),
    )
    .select(({ fn }) => [fn.countAll<number>().as("mails"), fn.min("create_time").as("oldestTime")])
    .executeTakeFirstOrThrow();
  return { mails: Number(mails), oldestTime: oldestTime ?? undefined };
}
