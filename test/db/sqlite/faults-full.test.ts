import { spawn } from "node:child_process";
import { once } from "node:events";
import { openSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { sql } from "kysely";
import { describe, expect, it, onTestFinished } from "vitest";
import { startTestApp } from "../../support/app.ts";
import { FaultyDisk, hasFaultyDisk, needsCompiler } from "../../support/db/faulty-disk.ts";
import { memoryFolder } from "../../support/db/memory-folder.ts";
import { fill, hasSmallDisk, needsMount, smallDisk } from "../../support/db/small-disk.ts";
import {
  adminToken,
  callerOf,
  databaseOf,
  loadSettings,
  StorageLoad,
  startLoaded,
} from "../../support/db/storage-load.ts";
import { refusalOf } from "../../support/errors.ts";
import { temporaryFolder } from "../../support/folder.ts";
import { isReady, main, type Running } from "../../support/process/process.ts";
import { addPending, addUser } from "../../support/users.ts";

/** Loads a server, fills its disk and frees it again. */
async function fillUnderLoad(dataDir: string, server: Running, load: StorageLoad, fill: () => () => void) {
  load.start(server);
  await expect.poll(() => load.acknowledged, { timeout: 20_000 }).toBeGreaterThan(200);
  const free = fill();
  await expect.poll(() => load.refused.length, { timeout: 20_000 }).toBeGreaterThan(20);
  await expect.poll(() => isReady(server)).toBe(false);
  for (const { status, body } of load.refused) {
    expect(status).toBe(503);
    expect(body.details?.map((detail) => detail.reason ?? detail.retryDelay)).toEqual([
      "STORAGE_UNAVAILABLE",
      "1s",
    ]);
    expect(body.message).not.toMatch(/sqlite|disk|full/i);
  }
  const call = callerOf(server.origin, load.token);
  expect((await call("GET", "/users/u0")).status).toBe(200);
  load.checkDatabase(databaseOf(dataDir));

  free();
  // Without any write, only the readiness check finds out that there is room again.
  await load.stop();
  await expect.poll(() => isReady(server), { timeout: 10_000 }).toBe(true);
  const before = load.acknowledged;
  load.start(server);
  await expect.poll(() => load.acknowledged, { timeout: 10_000 }).toBeGreaterThan(before + 100);
  await load.stop();
  expect(server.child.exitCode).toBeNull();
  load.checkDatabase(databaseOf(dataDir));
  await load.checkReplies(server, 10);
}

describe("F03 a full disk", () => {
  it.skipIf(!hasSmallDisk)(
    `refuses writes, goes on reading and recovers by itself (${needsMount})`,
    { timeout: 60_000 },
    async () => {
      const disk = smallDisk();
      const dataDir = join(disk, "data");
      const load = new StorageLoad(await adminToken(dataDir));
      const server = await startLoaded(dataDir);
      await load.prepare(server);
      await fillUnderLoad(dataDir, server, load, () => fill(disk));
    },
  );

  it.skipIf(!hasFaultyDisk)(
    `does the same for the log and for the database file (${needsCompiler})`,
    { timeout: 60_000 },
    async () => {
      const dataDir = join(memoryFolder(), "data");
      const disk = new FaultyDisk();
      const load = new StorageLoad(await adminToken(dataDir));
      const server = await startLoaded(dataDir, disk.environment);
      await load.prepare(server);
      await fillUnderLoad(dataDir, server, load, () => {
        disk.begin("full");
        return () => disk.end("full");
      });
    },
  );

  it("is reported with a retry delay, and writes succeed once there is room", async () => {
    const test = await startTestApp();
    const client = await test.admin();
    await addUser(client);
    const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(test.app.store.db);
    await sql`pragma max_page_count = ${sql.lit(rows[0]!.page_count)}`.execute(test.app.store.db);
    const organization = { org: { case: "orgId", value: "o" } } as const;
    const fillUp = async () => {
      for (let i = 0; i < 1_000; i++) await client.createUser({ userId: `${i}`.repeat(40), organization });
    };
    expect(await refusalOf(fillUp())).toMatchObject({
      code: "Unavailable",
      reason: "STORAGE_UNAVAILABLE",
      retryAfter: 1,
    });
    await sql`pragma max_page_count = 1000000`.execute(test.app.store.db);
    expect(await isReady(test)).toBe(true);
    await addPending(client);
  });
});

describe("F03 log output that cannot be written", () => {
  const environment = (port: number) => ({
    PATH: process.env.PATH,
    ...loadSettings(join(temporaryFolder(), "data")),
    COUNTERSIGN_LOG_LEVEL: "trace",
    COUNTERSIGN_LISTEN: `127.0.0.1:${port}`,
  });

  async function freePort(): Promise<number> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    server.close();
    await once(server, "close");
    return port;
  }

  it.each(["on a full disk", "as its reader is gone"])(
    "blocks neither calls nor the shutdown: %s",
    async (why) => {
      const port = await freePort();
      const isFull = why === "on a full disk";
      const child = spawn(process.execPath, [main, "dev"], {
        env: environment(port),
        stdio: ["ignore", "ignore", isFull ? openSync("/dev/full", "w") : "pipe"],
      });
      onTestFinished(() => void child.kill("SIGKILL"));
      child.stderr?.destroy();
      const origin = `http://127.0.0.1:${port}`;
      const ready = () => isReady({ origin }).catch(() => false);
      await expect.poll(ready, { timeout: 10_000 }).toBe(true);
      for (let i = 0; i < 300; i++)
        expect((await fetch(`${origin}/v3alpha/users/u`, { method: "GET" })).status).toBe(401);
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      expect(await ended).toEqual([0, null]);
    },
  );
});
