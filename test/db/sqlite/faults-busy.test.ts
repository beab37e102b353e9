import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import Database from "better-sqlite3";
import { sql } from "kysely";
import { describe, expect, it, onTestFinished } from "vitest";
import { openStore } from "../../../src/db/store.ts";
import { adminToken, callerOf, databaseOf, StorageLoad, startLoaded } from "../../support/db/storage-load.ts";
import { temporaryFolder } from "../../support/folder.ts";
import { rounds } from "../../support/soak.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** Starts a process that locks a database until it is killed. */
async function lockElsewhere(path: string, kind: "immediate" | "exclusive") {
  const script = `const database = new (require("better-sqlite3"))(${JSON.stringify(path)}, { timeout: 5000 });
    database.exec("begin ${kind}"); console.log("locked"); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["-e", script], { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child.stdout, "data");
  return {
    async release() {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

const holds = [
  { kind: "exclusive", seconds: 1 },
  { kind: "immediate", seconds: 6 },
  ...(rounds(0, 1)
    ? ([
        { kind: "immediate", seconds: 10 },
        { kind: "exclusive", seconds: 60 },
      ] as const)
    : []),
] as const;

describe("F05 another process locks the database", () => {
  it.each(holds)(
    "$kind, for $seconds s: writes wait or are refused, reads go on, and nothing is lost",
    { timeout: 120_000 },
    async ({ kind, seconds }) => {
      const dataDir = join(temporaryFolder(), "data");
      const load = new StorageLoad(await adminToken(dataDir));
      const server = await startLoaded(dataDir);
      await load.prepare(server);
      load.start(server);
      await expect.poll(() => load.acknowledged, { timeout: 20_000 }).toBeGreaterThan(100);

      const lock = await lockElsewhere(databaseOf(dataDir), kind);
      const end = performance.now() + seconds * 1_000;
      const call = callerOf(server.origin, load.token);
      let answered = 0;
      while (performance.now() < end) {
        for (const path of ["/healthz", "/readyz"])
          expect((await fetch(server.origin + path)).status, path).toBe(200);
        expect((await call("GET", "/users/u0")).status).toBe(200);
        answered++;
        await sleep(20);
      }
      // A coarse bound: if the process were blocked while it waits, there would be a few at most.
      expect(answered).toBeGreaterThan(seconds * 3);
      await lock.release();
      const before = load.acknowledged;
      await expect.poll(() => load.acknowledged, { timeout: 20_000 }).toBeGreaterThan(before + 100);
      await load.stop();

      for (const { status, body } of load.refused) {
        expect(status).toBe(503);
        expect(body.details?.map((detail) => detail.reason ?? detail.retryDelay)).toEqual([
          "STORAGE_UNAVAILABLE",
          "1s",
        ]);
      }
      if (seconds === 1) expect(load.refused).toEqual([]);
      else expect(load.refused.length).toBeGreaterThan(0);
      load.checkDatabase(databaseOf(dataDir));
      await load.checkReplies(server, 10);
    },
  );

  it("refuses calls with a short deadline before it, and lets others wait", async () => {
    const dataDir = join(temporaryFolder(), "data");
    const token = await adminToken(dataDir);
    const server = await startLoaded(dataDir);
    const add = (userId: string, timeoutMs: number) =>
      fetch(`${server.origin}/countersign.user.v3alpha.UserService/CreateUser`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": "application/json",
          "connect-timeout-ms": `${timeoutMs}`,
        },
        body: JSON.stringify({ userId, organization: { orgId: "o" } }),
      });
    const lock = await lockElsewhere(databaseOf(dataDir), "immediate");
    const patient = add("patient", 20_000);
    await sleep(100);
    const hurried = await Promise.all(Array.from({ length: 10 }, (_, i) => add(`hurried-${i}`, 1_500)));
    for (const reply of hurried) expect(await reply.json()).toMatchObject({ code: "unavailable" });
    await lock.release();
    expect((await patient).status).toBe(200);
    expect((await add("hurried-0", 1_500)).status).toBe(200);
  });
});

describe("F05 the log of a SQLite database", () => {
  async function openFilled() {
    const path = join(temporaryFolder(), "store.db");
    const store = openStore(`sqlite:${path}`);
    onTestFinished(() => store[Symbol.asyncDispose]());
    await store.migrate();
    let key = 0;
    const write = async (megabytes: number) => {
      for (let i = 0; i < megabytes * 2; i++) {
        const name = "x".repeat(500_000);
        const values = [`u${key++}`, "o", "active", name, 0, 1, 1];
        await store.write((trx) =>
          sql`insert into users (user_id, org_id, state, display_name, sequence, create_time, change_time)
            values (${sql.join(values)})`.execute(trx),
        );
      }
    };
    return { path, store, write, logMegabytes: () => statSync(`${path}-wal`).size / 2 ** 20 };
  }

  it("stays within its bound under load, and is removed on close", async () => {
    const { path, store, write, logMegabytes } = await openFilled();
    for (let i = 0; i < 9; i++) {
      await write(10);
      expect(logMegabytes()).toBeLessThan(66);
    }
    await store[Symbol.asyncDispose]();
    expect(existsSync(`${path}-wal`)).toBe(false);
  });

  it("grows during a long read, and is truncated and reused afterwards", {
    timeout: 60_000,
  }, async () => {
    const { path, write, logMegabytes } = await openFilled();
    await write(1);
    const reader = new Database(path, { readonly: true });
    onTestFinished(() => void reader.close());
    const count = reader.prepare("select count(*) from users").pluck();
    reader.exec("begin");
    const before = count.get();
    await write(70);
    expect(count.get()).toBe(before);
    expect(logMegabytes()).toBeGreaterThan(70);
    reader.exec("commit");
    await write(20);
    expect(logMegabytes()).toBeLessThanOrEqual(64);
    expect(count.get()).toBe(182);
    const { log } = reader.prepare("pragma wal_checkpoint(NOOP)").get() as { log: number };
    expect((log * 4096) / 2 ** 20).toBeLessThan(20);
  });
});
