import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { describe, expect, it, onTestFinished } from "vitest";
import { createCheckpointer } from "../../../src/db/sqlite/checkpoint.ts";
import { type LogState, startCheckpointThread } from "../../../src/db/sqlite/checkpoint-thread.ts";
import { SqliteHealth } from "../../../src/db/sqlite/health.ts";
import { temporaryFolder } from "../../support/folder.ts";

function openLogged() {
  const path = join(temporaryFolder(), "some.db");
  const database = new Database(path);
  onTestFinished(() => void database.close());
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = FULL");
  database.pragma("wal_autocheckpoint = 0");
  database.exec("create table t (x)");
  const insert = database.prepare("insert into t values (zeroblob(100000))");
  const logState = () => database.prepare("pragma wal_checkpoint(NOOP)").get() as LogState;
  return { path, database, write: () => void insert.run(), logState };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Writes some 120 MB, with checkpoints as the service makes them. */
async function writeMuch({ path, write, database }: ReturnType<typeof openLogged>, threadPath = path) {
  const errors: Error[] = [];
  const health = new SqliteHealth((error) => errors.push(error));
  const checkpointer = createCheckpointer(database, threadPath, health, (error) => errors.push(error));
  let megabytesMax = 0;
  for (let i = 0; i < 1_200; i++) {
    write();
    await checkpointer.afterCommit();
    await turn();
    megabytesMax = Math.max(megabytesMax, statSync(`${path}-wal`).size / 2 ** 20);
  }
  await checkpointer[Symbol.asyncDispose]();
  return { errors, megabytesMax };
}

describe("checkpoints", () => {
  it("keep the log within its bound while writes never pause, and lose nothing", async () => {
    const logged = openLogged();
    const { errors, megabytesMax } = await writeMuch(logged);
    expect(errors).toEqual([]);
    expect(megabytesMax).toBeLessThan(66);
    expect(logged.database.pragma("integrity_check", { simple: true })).toBe("ok");
    expect(logged.database.prepare("select count(*) from t").pluck().get()).toBe(1_200);
  });

  it("are made between commits where the thread cannot work, and that is told once", async () => {
    const logged = openLogged();
    const { errors, megabytesMax } = await writeMuch(logged, join(temporaryFolder(), "is-not-there.db"));
    expect(errors.map(String)).toEqual(["Error: checkpoints have no thread of their own any more"]);
    expect(megabytesMax).toBeLessThan(66);
  });
});

it("a checkpoint that is cut off by the end is no error", async () => {
  const { path, database, write, logState } = openLogged();
  const errors: Error[] = [];
  const told = (error: Error) => errors.push(error);
  const checkpointer = createCheckpointer(database, path, new SqliteHealth(told), told);
  while (logState().log < 12_000) write();
  // The first sees how much there is, and has the thread begin.
  checkpointer.afterCommit();
  await checkpointer[Symbol.asyncDispose]();
  await turn();
  expect(errors).toEqual([]);
});

describe("the thread of the checkpoints", () => {
  it("moves the log while a transaction is open, and tells how much", async () => {
    const { path, database, write, logState } = openLogged();
    for (let i = 0; i < 5; i++) write();
    const { log } = logState();
    database.exec("begin immediate");
    write();
    const thread = startCheckpointThread(path);
    expect(await thread.move()).toEqual({ busy: 0, log, checkpointed: log });
    database.exec("commit");
    expect(await thread.move()).toMatchObject({ busy: 0, checkpointed: logState().log });
    await thread.stop();
    await expect(thread.move()).rejects.toThrow("has ended");
  });

  it("tells what SQLite says, and goes on", async () => {
    const path = join(temporaryFolder(), "some.db");
    writeFileSync(path, "this is no database, however long it is. ".repeat(200));
    const thread = startCheckpointThread(path);
    onTestFinished(() => thread.stop());
    for (let i = 0; i < 2; i++) {
      const failure = expect.objectContaining({ code: "SQLITE_NOTADB" });
      await expect(thread.move()).rejects.toThrow(failure);
    }
  });
});
