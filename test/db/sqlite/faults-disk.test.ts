import { join } from "node:path";
import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";

import { isFailure, isStorageUnavailable } from "../../../src/db/storage-errors.ts";
import { type Fault, FaultyDisk, hasFaultyDisk, needsCompiler } from "../../support/db/faulty-disk.ts";
import {
  adminToken,
  callerOf,
  databaseOf,
  loadSettings,
  StorageLoad,
  startLoaded,
} from "../../support/db/storage-load.ts";
import { temporaryFolder } from "../../support/folder.ts";
import { runCommand } from "../../support/process/process.ts";

describe(`F04 a disk that fails (${needsCompiler})`, () => {
  it.skipIf(!hasFaultyDisk).each<Fault>(["sync", "write", "read"])(
    "in a %s ends the process with 70 and a line that says so, nothing of it was acknowledged, and a restart goes on",
    { timeout: 60_000 },
    async (fault) => {
      const dataDir = join(temporaryFolder(), "data");
      const disk = new FaultyDisk();
      const load = new StorageLoad(await adminToken(dataDir));
      const server = await startLoaded(dataDir, disk.environment);
      await load.prepare(server);
      load.start(server);
      await expect.poll(() => load.acknowledged, { timeout: 20_000 }).toBeGreaterThan(100);
      const fill = new Database(databaseOf(dataDir), { timeout: 10_000 });
      // More than is kept in memory.
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
      // Where it cannot read what it wrote, SQLite takes the database for a damaged one.
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

  it("is told from a disk that is full, and from a lack of memory", () => {
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
    const passing = [
      "FULL",
      "BUSY_SNAPSHOT",
      "READONLY",
      "CANTOPEN",
      "NOMEM",
      "IOERR_NOMEM",
      "IOERR_SHMSIZE",
    ];
    for (const code of fatal) expect(isFailure(errorOf(`SQLITE_${code}`)), code).toBe(true);
    for (const code of passing) expect(isFailure(errorOf(`SQLITE_${code}`)), code).toBe(false);
    for (const code of [...fatal, ...passing])
      expect(isStorageUnavailable(errorOf(`SQLITE_${code}`)), code).toBe(true);
  });

  it.skipIf(!hasFaultyDisk)("before it serves anything refuses to start with 70", async () => {
    const dataDir = join(temporaryFolder(), "data");
    const disk = new FaultyDisk();
    disk.begin("sync");
    const { code, stderr } = await runCommand(["dev"], { ...loadSettings(dataDir), ...disk.environment });
    expect(code).toBe(70);
    expect(stderr).toMatch(/disk I\/O error/);
  });
});
