import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { FaultyDisk, hasFaultyDisk, needsCompiler } from "../../support/db/faulty-disk.ts";
import { memoryFolder } from "../../support/db/memory-folder.ts";
import { adminToken, databaseOf, StorageLoad, startLoaded } from "../../support/db/storage-load.ts";
import { temporaryFolder } from "../../support/folder.ts";
import type { Running } from "../../support/process/process.ts";
import { rounds } from "../../support/soak.ts";

/** Loads a server and kills it within 50 ms after its first commits. */
async function killUnderLoad(load: StorageLoad, server: Running): Promise<void> {
  const before = load.acknowledged;
  load.start(server);
  while (load.acknowledged < before + 20) await sleep(1);
  await sleep(Math.random() * 50);
  server.child.kill("SIGKILL");
  await load.stop();
  await server.finished();
  expect(load.refused).toEqual([]);
}

describe("F01 kill -9 under load", () => {
  it("loses no acknowledged write and leaves no partial one", {
    timeout: 3_600_000,
  }, async () => {
    const dataDir = join(temporaryFolder(), "data");
    const load = new StorageLoad(await adminToken(dataDir));
    let server = await startLoaded(dataDir);
    await load.prepare(server);
    const times = rounds(10, 500);
    for (let round = 0; round < times; round++) {
      await killUnderLoad(load, server);
      server = await startLoaded(dataDir);
      load.checkDatabase(databaseOf(dataDir));
      await load.checkReplies(server, 5);
      await load.removeAll(server);
    }
    console.log(`killed ${times} times: all of ${load.acknowledged} acknowledged writes are there`);
  });
});

describe("F02 a loss of power under load", () => {
  it.skipIf(!hasFaultyDisk).each([{ torn: false }, { torn: true }])(
    `loses no acknowledged write (${needsCompiler}), torn: $torn`,
    { timeout: 3_600_000 },
    async ({ torn }) => {
      for (let round = 0; round < rounds(2, 50); round++) {
        const dataDir = join(memoryFolder(), "data");
        const disk = new FaultyDisk();
        disk.rememberSynced({ torn });
        const load = new StorageLoad(await adminToken(dataDir));
        const server = await startLoaded(dataDir, disk.environment);
        await load.prepare(server);
        load.start(server);
        await expect.poll(() => load.acknowledged, { timeout: 20_000 }).toBeGreaterThan(500);
        await load.stop();
        await killUnderLoad(load, server);
        const path = databaseOf(dataDir);
        disk.losePower([path, `${path}-wal`]);
        const again = await startLoaded(dataDir);
        load.checkDatabase(path);
        await load.checkReplies(again, 10);
        again.child.kill("SIGKILL");
      }
    },
  );
});
