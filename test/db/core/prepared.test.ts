import type { Kysely } from "kysely";
import { describe, expect, it } from "vitest";
import { type Param, prepare } from "../../../src/db/core/prepared.ts";
import type { DB } from "../../../src/db/core/schema.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { createUser, findUser } from "../../../src/users/user.ts";
import { engine, openTestStore } from "../../support/db/database.ts";

const user = { actor: "a", userId: "u", orgId: "o" };

const rename = prepare((db, param: Param<{ name: string | null }>) =>
  db
    .updateTable("users")
    .set({ display_name: param("name") })
    .where("user_id", "=", "u"),
);

async function openWithUser() {
  const store = await openTestStore();
  await createUser(store, systemClock, user);
  const name = async (db: Kysely<DB> = store.db) => (await findUser(db, "u"))?.display_name;
  return { store, name };
}

describe("a prepared query", () => {
  it.each(["it's", 'a "name"', "?", "$1", ":name", "", null])(
    "passes the value %j unchanged",
    async (given) => {
      const { store, name } = await openWithUser();
      await store.write(async (trx) => rename(trx, { name: given }));
      expect(await name()).toBe(given);
    },
  );

  it.each(["it's", "a ? and a $1", "\\'", ""])("keeps the constant %j unchanged", async (constant) => {
    const { store } = await openWithUser();
    const build = prepare((db, param: Param<{ id: string }>) =>
      db
        .selectFrom("users")
        .select((eb) => [eb.val(constant).as("text"), eb.val(-1.5).as("number"), eb.val(null).as("nothing")])
        .where("user_id", "=", param("id")),
    );
    const rows = await build(store.db, { id: "u" });
    expect(rows.map(({ text, number, nothing }) => [text, Number(number), nothing])).toEqual([
      [constant, -1.5, null],
    ]);
    expect(await build(store.db, { id: "nobody" })).toEqual([]);
  });

  it("reads the writes of its own transaction, and others don't before the commit", async () => {
    const { store, name } = await openWithUser();
    let letGo = () => {};
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    let inside: string | null | undefined;
    const writing = store.write(async (trx) => {
      await rename(trx, { name: "new" });
      inside = await name(trx);
      await held;
    });
    const reading = (async () => {
      while (inside === undefined) await new Promise(setImmediate);
      return name();
    })();
    // On SQLite the reader waits for the one connection. On PostgreSQL it reads the committed row.
    if (engine === "postgres") expect(await reading).toBeNull();
    letGo();
    await writing;
    if (engine === "sqlite") expect(await reading).toBe("new");
    expect(inside).toBe("new");
    expect(await name()).toBe("new");
  });

  it("reads nothing of a transaction that is then rolled back", async () => {
    const { store, name } = await openWithUser();
    let begun = false;
    let letGo = () => {};
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const writing = store.write(async (trx) => {
      await rename(trx, { name: "never" });
      begun = true;
      await held;
      throw new Error("changed its mind");
    });
    while (!begun) await new Promise(setImmediate);
    const reading = name();
    letGo();
    await expect(writing).rejects.toThrow("changed its mind");
    expect(await reading).toBeNull();
  });

  it("has constants in its text, so that SQLite chooses a partial index once", async () => {
    const { store } = await openWithUser();
    const compiled: string[] = [];
    prepare((db) => {
      const query = db
        .selectFrom("outbox")
        .select("mail_id")
        .where("state", "=", "failed")
        .where("attempts", ">", 2);
      return {
        compile() {
          const done = query.compile();
          compiled.push(done.sql, `${done.parameters.length}`);
          return done;
        },
      };
    })(store.db, {});
    expect(compiled).toEqual([
      `select "mail_id" from "outbox" where "state" = 'failed' and "attempts" > 2`,
      "0",
    ]);
  });
});
