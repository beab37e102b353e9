import { describe, expect, it, onTestFinished } from "vitest";
import { createEventFeed, type EventFeed, type WatchOptions } from "../../src/events/event-feed.ts";
import { Refusal } from "../../src/lib/refusal.ts";
import { createUser } from "../../src/users/user.ts";
import { MovableClock } from "../support/clock.ts";
import { openTestStore } from "../support/db/database.ts";
import { temporaryFolder } from "../support/folder.ts";

async function setUp() {
  const folder = temporaryFolder();
  const store = await openTestStore(folder);
  const clock = new MovableClock();
  const feed = createEventFeed(store, clock);
  onTestFinished(() => feed.close());
  const add = (userId: string, orgId = "o", to = store) =>
    createUser(to, clock, { userId, orgId, actor: "a" });
  return { folder, store, clock, feed, add };
}

function start(feed: EventFeed, options: Partial<WatchOptions> = {}) {
  const ending = new AbortController();
  const watch = feed.watch({ organizations: "all", after: undefined, signal: ending.signal, ...options });
  /** The next item in short, such as "user 2", or "- 2" for a heartbeat. */
  const next = async () => {
    const { value, done } = await watch.next();
    return done ? "end" : `${value.event?.user_id ?? "-"} ${value.position}`;
  };
  return { watch, next, end: () => ending.abort() };
}

describe("an event feed", () => {
  it("streams what is committed after the start", async () => {
    const { feed, add } = await setUp();
    await add("before");
    const { next } = start(feed);
    expect(await next()).toBe("- 1");
    const pending = next();
    await add("after");
    expect(await pending).toBe("after 2");
  });

  it("continues from a position without gaps or repeats", async () => {
    const { feed, add } = await setUp();
    for (let i = 1; i <= 450; i++) await add(`u${i}`);
    const first = start(feed, { after: 0 });
    expect(await first.next()).toBe("- 0");
    for (let i = 1; i <= 230; i++) expect(await first.next()).toBe(`u${i} ${i}`);
    first.end();
    expect(await first.next()).toMatch(/^u231 231$|^end$/);
    const second = start(feed, { after: 230 });
    expect(await second.next()).toBe("- 230");
    for (let i = 231; i <= 450; i++) expect(await second.next()).toBe(`u${i} ${i}`);
    const pending = second.next();
    await add("late");
    expect(await pending).toBe("late 451");
  });

  it("streams only events of the watcher's organizations", async () => {
    const { feed, add } = await setUp();
    for (const [userId, orgId] of [
      ["a", "o"],
      ["b", "p"],
      ["c", "q"],
      ["d", "o"],
    ] as const) {
      await add(userId, orgId);
    }
    const { next } = start(feed, { after: 0, organizations: new Set(["o", "q"]) });
    expect([await next(), await next(), await next(), await next()]).toEqual(["- 0", "a 1", "c 3", "d 4"]);
  });

  it("finds what another process wrote within a second", async () => {
    const { folder, clock, feed, add } = await setUp();
    const { next } = start(feed);
    expect(await next()).toBe("- 0");
    const pending = next();
    await add("theirs", "o", await openTestStore(folder));
    await expect
      .poll(async () => {
        clock.move(1_000);
        return Promise.race([pending, Promise.resolve("nothing yet")]);
      })
      .toBe("theirs 1");
  });

  it("streams every event once to each of 20 watchers while 100 are committed", async () => {
    const { feed, add } = await setUp();
    const watchers = Array.from({ length: 20 }, () => start(feed));
    for (const { next } of watchers) await next();
    const all = watchers.map(async ({ next }) => {
      const items: string[] = [];
      while (items.length < 100) items.push(await next());
      return items;
    });
    await Promise.all(Array.from({ length: 100 }, (_, i) => add(`u${i}`)));
    for (const items of await Promise.all(all)) {
      expect(items.map((line) => Number(line.split(" ")[1]))).toEqual(
        Array.from({ length: 100 }, (_, i) => i + 1),
      );
    }
  });

  it("sends heartbeats whose position covers events that the watcher may not see", async () => {
    const { clock, feed, add } = await setUp();
    const { next } = start(feed, { organizations: new Set(["o"]) });
    expect(await next()).toBe("- 0");
    await add("hidden", "p");
    const pending = next();
    await expect
      .poll(async () => {
        clock.move(10_000);
        return Promise.race([pending, Promise.resolve("nothing yet")]);
      })
      .toBe("- 1");
  });

  it("ends a stream after 15 minutes, when the watcher leaves, and when the feed is closed", async () => {
    const { clock, feed } = await setUp();
    const [old, left, closed] = [start(feed), start(feed), start(feed)];
    for (const { next } of [old, left, closed]) await next();
    const ended = left.next();
    left.end();
    expect(await ended).toBe("end");
    clock.move(900_000);
    expect(await old.next()).toBe("end");
    const late = start(feed);
    await late.next();
    const closes = late.next();
    feed.close();
    expect(await closes).toBe("end");
  });

  it("refuses a position beyond the last event, as after a restored backup", async () => {
    const { feed, add } = await setUp();
    await add("a");
    await expect(start(feed, { after: 2 }).next()).rejects.toThrow(/beyond the last event/);
  });

  it("bounds the number of watchers, and accepts another when one leaves", async () => {
    const { feed } = await setUp();
    const watchers = Array.from({ length: 100 }, () => start(feed));
    for (const { next } of watchers) await next();
    const refused = await start(feed)
      .next()
      .catch((error: unknown) => error);
    expect(refused instanceof Refusal && refused.reason).toBe("WATCHERS_EXHAUSTED");
    await watchers[0]?.watch.return(undefined);
    expect(await start(feed).next()).toBe("- 0");
  });

  it("returns how long to wait for a free slot", async () => {
    const { feed, clock } = await setUp();
    const watchers = Array.from({ length: 100 }, () => start(feed));
    for (const { next } of watchers) await next();
    clock.move(60_000);
    const refused = await start(feed)
      .next()
      .catch((error: unknown) => error);
    if (!(refused instanceof Refusal)) throw new Error("not refused");
    expect(refused.retryAfterMs).toBe(841_000);
    const last = watchers.map(({ watch }) => watch.next());
    clock.move(841_000);
    for (const item of last) expect((await item).done).toBe(true);
    expect(await start(feed).next()).toBe("- 0");
  });
});
