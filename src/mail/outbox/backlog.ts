import type { Kysely } from "kysely";
import type { DB } from "../../db/core/schema.ts";

/** The mails that wait to be handed over. */
export interface Backlog {
  /** How many; `backlogMax` stands for so many or more. */
  readonly mails: number;
  /** Since when the oldest of these waits, in milliseconds since the epoch. Undefined if none does. */
  readonly oldestTime: number | undefined;
}

/** How many rows are counted: a long queue must not make it worse to look at it. */
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
