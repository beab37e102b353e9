import { join } from "node:path";
import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";

import { isFailure, isStorageUnavailable } from "../../../src/db/storage-errors.ts";
import { type Fault, FaultyDisk, hasFaultyDisk, needsCompiler } from "../../support/db/faulty-disk.ts";
import { memoryFolder } from "../../support/db/memory-folder.ts";
import {
  adminToken,
  callerOf,
  databaseOf,
  loadSettings,
  StorageLoad,
  startLoaded,
} from "../../support/db/storage-load.ts";
import { runCommand } from "../../support/process/process.ts";

describe(`F04 a disk that fails (${needsCompiler})`, () => {
  it.skipIf(!hasFaultyDisk).each<Fault>(["sync", "write", "read"])(
    "in a %s makes the process exit with 70 and acknowledge nothing, and a restart goes on",
    { timeout: 60_000 },
    async (fault) => {
      const dataDir = join(memoryFolder(), "data");
      const disk = new FaultyDisk();
      const load = new StorageLoad(await adminToken(dataDir));
      const server = await startLoaded(dataDir, disk.environment);
      await load.prepare(server);
      load.start(server);
      await expect.poll(() => load.acknowledged, { timeout: 20_000 }).toBeGreaterThan(100);
      const fill = new Database(databaseOf(dataDir), { timeout: 10_000 });
      // More than the cache holds.
      fill.exec(`with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000)
        insert into users (user_id, org_id, state, display_name, sequence, create_time, change_time)
        select 'old-' || i, 'old', 'active', hex(zeroblob(2500)), 0, 0, 0 from n`);
      fill.close();
      disk.begin(fault);
      if (fault === "read") {
        const call = callerOf(server.origin, load.token);
        for (let i = 1; i < 2_000; i += 50) void call("GET", `/users/old-${i}`).catch(() => {});
      }
      const { code, stderr } = await server.finished();
      await load.stop();
      expect(code).toBe(70);
      expect(stderr).toMatch(/"level":"fatal".*"the storage has failed/);
      // If it cannot read what it wrote, SQLite may report a damaged database.
      expect(stderr).toMatch(fault === "read" ? /SQLITE_(IOERR|CORRUPT)/ : /SQLITE_IOERR/);
      for (const { status, body } of load.refused) {
        expect(status).toBe(503);
        expect(body.details?.[0]?.reason).toBe("STORAGE_UNAVAILABLE");
        expect(body.message).not.toMatch(/sqlite|disk|I\/O/i);
      }

      const broken = await runCommand(["serve"], { ...loadSettings(dataDir), ...disk.environment });
      expect(broken.code).not.toBe(0);
      disk.end(fault);
      const again = await startLoaded(dataDir, disk.environment);
      load.checkDatabase(databaseOf(dataDir));
      await load.checkReplies(again, 10);
      expect((await fetch(`${again.origin}/readyz`)).status).toBe(200);
    },
  );

  it("is not confused with a full disk or a lack of memory", () => {
    const errorOf = (code: string) => new Database.SqliteError("no", code);
    const fatal = [
      "IOERR_FSYNC",
      "IOERR_WRITE",
      "IOERR_READ",
      "IOERR_DIR_FSYNC",
      "CORRUPT",
      "CORRUPT_INDEX",
      "NOTADB",
    ];
    const transient = [
      "FULL",
      "BUSY_SNAPSHOT",
      "READONLY",
      "CANTOPEN",
      "NOMEM",
      "IOERR_NOMEM",
      "IOERR_SHMSIZE",
    ];
    for (const code of fatal) expect(isFailure(errorOf(`SQLITE_${code}`)), code).toBe(true);
    for (const code of transient) expect(isFailure(errorOf(`SQLITE_${code}`)), code).toBe(false);
    for (const code of [...fatal, ...transient])
      expect(isStorageUnavailable(errorOf(`SQLITE_${code}`)), code).toBe(true);
  });

  it.skipIf(!hasFaultyDisk)("at start makes the process exit with 70", async () => {
    const dataDir = join(memoryFolder(), "data");
    const disk = new FaultyDisk();
    disk.begin("sync");
    const { code, stderr } = await runCommand(["dev"], { ...loadSettings(dataDir), ...disk.environment });
    expect(code).toBe(70);
    expect(stderr).toMatch(/disk I\/O error/);
  });
});
