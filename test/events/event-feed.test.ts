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
  /** What is told next, in short: user and position. */
  const next = async () => {
    const { value, done } = await watch.next();
    return done ? "end" : `${value.event?.user_id ?? "-"} ${value.position}`;
  };
  return { watch, next, end: () => ending.abort() };
}

describe("a feed of events", () => {
  it("begins now, and tells what is committed from then on", async () => {
    const { feed, add } = await setUp();
    await add("before");
    const { next } = start(feed);
    expect(await next()).toBe("- 1");
    const told = next();
    await add("after");
    expect(await told).toBe("after 2");
  });

  it("goes on from a position, without a gap or a repeat, however many events there are", async () => {
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
    const told = second.next();
    await add("late");
    expect(await told).toBe("late 451");
  });

  it("tells only of the organizations of the watcher", async () => {
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

  it("finds what another process wrote by itself, within a second", async () => {
    const { folder, clock, feed, add } = await setUp();
    const { next } = start(feed);
    expect(await next()).toBe("- 0");
    const told = next();
    await add("theirs", "o", await openTestStore(folder));
    await expect
      .poll(async () => {
        clock.move(1_000);
        return Promise.race([told, Promise.resolve("nothing yet")]);
      })
      .toBe("theirs 1");
  });

  it("tells every event once to each of 20 watchers while 100 are committed", async () => {
    const { feed, add } = await setUp();
    const watchers = Array.from({ length: 20 }, () => start(feed));
    for (const { next } of watchers) await next();
    const all = watchers.map(async ({ next }) => {
      const told: string[] = [];
      while (told.length < 100) told.push(await next());
      return told;
    });
    await Promise.all(Array.from({ length: 100 }, (_, i) => add(`u${i}`)));
    for (const told of await Promise.all(all)) {
      expect(told.map((line) => Number(line.split(" ")[1]))).toEqual(
        Array.from({ length: 100 }, (_, i) => i + 1),
      );
    }
  });

  it("tells where it stands when nothing happens, also behind what the watcher may not see", async () => {
    const { clock, feed, add } = await setUp();
    const { next } = start(feed, { organizations: new Set(["o"]) });
    expect(await next()).toBe("- 0");
    await add("hidden", "p");
    const told = next();
    await expect
      .poll(async () => {
        clock.move(10_000);
        return Promise.race([told, Promise.resolve("nothing yet")]);
      })
      .toBe("- 1");
  });

  it("ends after a quarter of an hour, when the watcher goes, and when it is closed", async () => {
    const { clock, feed } = await setUp();
    const [aged, gone, closed] = [start(feed), start(feed), start(feed)];
    for (const { next } of [aged, gone, closed]) await next();
    const ends = gone.next();
    gone.end();
    expect(await ends).toBe("end");
    clock.move(900_000);
    expect(await aged.next()).toBe("end");
    const late = start(feed);
    await late.next();
    const closes = late.next();
    feed.close();
    expect(await closes).toBe("end");
  });

  it("refuses a position that it has not reached, as after a restored backup", async () => {
    const { feed, add } = await setUp();
    await add("a");
    await expect(start(feed, { after: 2 }).next()).rejects.toThrow(/beyond the last event/);
  });

  it("has a bounded number of watchers, and room again when one goes", async () => {
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

  it("tells how long to wait for room, and then there is room", async () => {
    const { feed, clock } = await setUp();
    const watchers = Array.from({ length: 100 }, () => start(feed));
    for (const { next } of watchers) await next();
    clock.move(60_000);
    const refused = await start(feed)
      .next()
      .catch((error: unknown) => error);
    if (!(refused instanceof Refusal)) throw new Error("it is not refused");
    expect(refused.retryAfterMs).toBe(841_000);
    const last = watchers.map(({ watch }) => watch.next());
    clock.move(841_000);
    for (const told of last) expect((await told).done).toBe(true);
    expect(await start(feed).next()).toBe("- 0");
  });
});
