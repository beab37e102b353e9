import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { describe, expect, it, onTestFinished } from "vitest";
import { createCheckpointer } from "../../../src/db/sqlite/checkpoint.ts";
import { type LogState, startCheckpointThread } from "../../../src/db/sqlite/checkpoint-thread.ts";
import { SqliteHealth } from "../../../src/db/sqlite/health.ts";
import { temporaryFolder } from "../../support/folder.ts";

function openWithLog() {
  const path = join(temporaryFolder(), "some.db");
  const database = new Database(path);
  onTestFinished(() => void database.close());
  database.pragma("journal_mode = WAL");
  // Commits are not synced, so that they outrun the thread, which syncs.
  database.pragma("synchronous = OFF");
  database.pragma("wal_autocheckpoint = 0");
  database.exec("create table t (x)");
  const insert = database.prepare("insert into t values (zeroblob(100000))");
  const logState = () => database.prepare("pragma wal_checkpoint(NOOP)").get() as LogState;
  return { path, database, write: () => void insert.run(), logState };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Writes about 120 MB, with checkpoints as in the service. */
async function write120MB({ path, write, database }: ReturnType<typeof openWithLog>, threadPath = path) {
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

describe("the checkpointer", () => {
  it("bounds the log while writes never pause, and loses nothing", async () => {
    const logged = openWithLog();
    const { errors, megabytesMax } = await write120MB(logged);
    expect(errors).toEqual([]);
    expect(megabytesMax).toBeLessThan(66);
    expect(logged.database.pragma("integrity_check", { simple: true })).toBe("ok");
    expect(logged.database.prepare("select count(*) from t").pluck().get()).toBe(1_200);
  });

  it("moves pages between commits if the thread fails, and reports that once", async () => {
    const logged = openWithLog();
    const { errors, megabytesMax } = await write120MB(logged, join(temporaryFolder(), "missing.db"));
    expect(errors.map(String)).toEqual([
      "Error: the checkpoint thread failed: pages are moved between commits",
    ]);
    expect(megabytesMax).toBeLessThan(66);
  });

  it("reports no error if it is disposed during a move", async () => {
    const { path, database, write, logState } = openWithLog();
    const errors: Error[] = [];
    const onError = (error: Error) => errors.push(error);
    const checkpointer = createCheckpointer(database, path, new SqliteHealth(onError), onError);
    while (logState().log < 12_000) write();
    checkpointer.afterCommit();
    await checkpointer[Symbol.asyncDispose]();
    await turn();
    expect(errors).toEqual([]);
  });
});

describe("the checkpoint thread", () => {
  it("moves the log while a transaction is open, and returns its state", async () => {
    const { path, database, write, logState } = openWithLog();
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

  it("rejects with the error of SQLite, and goes on", async () => {
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
