import { describe, expect, it } from "vitest";
import { systemClock } from "../../src/lib/clock.ts";
import { createUser, findUser, findUserConstantTime } from "../../src/users/user.ts";
import { openTestStore } from "../support/db/database.ts";

describe.each([findUser, findUserConstantTime])("$name", (find) => {
  it("finds a user by the exact id only", async () => {
    const store = await openTestStore();
    expect(await find(store.db, "b")).toBeUndefined();
    for (const userId of ["b", "d"]) {
      const caller = { actor: "a", caller: undefined, clientAddress: undefined, reason: undefined };
      await createUser(store, systemClock, { ...caller, userId, orgId: "o" });
    }
    const found = await Promise.all(["a", "b", "ba", "B", "c", "d", "e", ""].map((id) => find(store.db, id)));
    expect(found.map((user) => user?.user_id)).toEqual([
      undefined,
      "b",
      undefined,
      undefined,
      undefined,
      "d",
      undefined,
      undefined,
    ]);
  });
});
