import { setTimeout as sleep } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { appendEvent } from "../../../src/events/event.ts";
import { createEventFeed } from "../../../src/events/event-feed.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { createUser } from "../../../src/users/user.ts";
import { openTestStore } from "../../support/db/database.ts";
import { userRow } from "../../support/db/user-rows.ts";

it("holds back an event while one with a lower position is uncommitted, and delivers both in order", async () => {
  const store = await openTestStore();
  const feed = createEventFeed(store, systemClock);
  onTestFinished(() => feed.close());
  const ending = new AbortController();
  const watched = feed.watch({ organizations: "all", after: 0, signal: ending.signal });
  expect((await watched.next()).value).toMatchObject({ position: 0, event: undefined });
  let finish = () => {};
  const slow = store.write(async (trx) => {
    await trx
      .insertInto("users")
      .values({ ...userRow, user_id: "slow" })
      .execute();
    await appendEvent(trx, systemClock, { userId: "slow", type: "user.created", actor: "a" });
    await new Promise<void>((resolve) => {
      finish = resolve;
    });
  });
  await expect.poll(() => finish.length).toBe(1);
  await createUser(store, systemClock, { userId: "quick", orgId: "o", actor: "a" });
  const next = watched.next();
  const first = await Promise.race([next, sleep(300).then(() => "nothing")]);
  expect(first).toBe("nothing");
  finish();
  await slow;
  const delivered = [await next, await watched.next()].map(({ value }) => value?.event?.user_id);
  expect(delivered).toEqual(["slow", "quick"]);
  ending.abort();
});
