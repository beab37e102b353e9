import { copyFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { sql } from "kysely";
import { afterAll, describe, expect, it } from "vitest";
import { DatabaseRefused } from "../../../src/db/core/storage-failure.ts";
import { isFailure } from "../../../src/db/storage-errors.ts";
import { openStore } from "../../../src/db/store.ts";
import { memoryFolder } from "../../support/db/memory-folder.ts";
import { adminToken, callerOf, databaseOf, loadSettings } from "../../support/db/storage-load.ts";
import { runCommand, startCommand } from "../../support/process/process.ts";
import { rounds } from "../../support/soak.ts";

const pageBytes = 4096;
const users = 400;

/** The names of the users, in the order in which they are committed. */
const nameOf = (i: number) => `user-${String(i).padStart(5, "0")}`;

/** The files of a database after a crash. */
interface Image {
  readonly database: Buffer;
  readonly log: Buffer;
}

/**
 * The files of a database with one commit per user. Every tenth user has a name that takes several pages.
 *
 * @param isClosed whether the log has been moved into the database, which then has free pages, too.
 */
async function makeImage({ isClosed }: { isClosed: boolean }): Promise<Image> {
  const path = join(memoryFolder(afterAll), "store.db");
  const store = openStore(`sqlite:${path}`);
  await store.migrate();
  for (let i = 0; i < users; i++) {
    const values = [nameOf(i), "o", "active", "x".repeat(i % 10 === 0 ? 9_000 : 60), 0, 1, 1];
    await store.write((trx) =>
      sql`insert into users (user_id, org_id, state, display_name, sequence, create_time, change_time)
        values (${sql.join(values)})`.execute(trx),
    );
  }
  if (isClosed) {
    await store.write((trx) => sql`create table gone (x)`.execute(trx));
    await store.write((trx) => sql`insert into gone values (zeroblob(100000))`.execute(trx));
    await store.write((trx) => sql`drop table gone`.execute(trx));
    await store[Symbol.asyncDispose]();
    return { database: readFileSync(path), log: Buffer.alloc(0) };
  }
  const image = { database: readFileSync(path), log: readFileSync(`${path}-wal`) };
  await store[Symbol.asyncDispose]();
  return image;
}

const scratch = memoryFolder(afterAll);
const closed = await makeImage({ isClosed: true });
const crashed = await makeImage({ isClosed: false });

/** How many users a start finds in these files. Undefined: it refuses them. */
async function usersAfter({ database, log }: Image): Promise<number | undefined> {
  const path = join(scratch, "store.db");
  for (const part of ["", "-wal", "-shm"]) rmSync(path + part, { force: true });
  writeFileSync(path, database);
  if (log.length > 0) writeFileSync(`${path}-wal`, log);
  return usersAt(path);
}

async function usersAt(path: string): Promise<number | undefined> {
  try {
    await using store = openStore(`sqlite:${path}`);
    await store.migrate();
    const rows = await store.db.selectFrom("users").select("user_id").orderBy("user_id").execute();
    await store.db.selectFrom("users").selectAll().execute();
    return rows.length;
  } catch (error) {
    if (error instanceof DatabaseRefused || isFailure(error)) return undefined;
    throw error;
  }
}

function flip(bytes: Buffer, bit: number): Buffer {
  const flipped = Buffer.from(bytes);
  flipped[bit >> 3]! ^= 1 << (bit & 7);
  return flipped;
}

/** The offset of the first page of each kind. */
function pagesOf(database: Buffer): Map<string, number> {
  const path = join(scratch, "pages.db");
  writeFileSync(path, database);
  const open = new Database(path);
  const rows = open
    .prepare(
      `select pagetype, pageno, ncell, coalesce((select type from sqlite_schema where sqlite_schema.name = dbstat.name), 'schema') as type
        from dbstat order by pageno`,
    )
    .all() as { pagetype: string; pageno: number; ncell: number; type: string }[];
  open.close();
  const pages = new Map<string, number>([["header", 0]]);
  for (const { pagetype, pageno, ncell, type } of rows) {
    if (pageno === 1 || (pagetype !== "overflow" && ncell === 0)) continue;
    const name = pagetype === "overflow" ? pagetype : `${pagetype} of ${type}`;
    if (!pages.has(name)) pages.set(name, (pageno - 1) * pageBytes);
  }
  const trunk = database.readUInt32BE(32);
  pages.set("freelist trunk", (trunk - 1) * pageBytes);
  const leaf = database.readUInt32BE((trunk - 1) * pageBytes + 8);
  pages.set("freelist leaf", (leaf - 1) * pageBytes);
  return pages;
}

/** The end of the last page in use. All pages after it are free. */
function usedBytesOf(database: Buffer): number {
  const path = join(scratch, "used.db");
  writeFileSync(path, database);
  const open = new Database(path);
  const last = open.prepare("select max(pageno) from dbstat").pluck().get() as number;
  open.close();
  return last * pageBytes;
}

describe("F06 a damaged database", () => {
  it("starts with all commits or refuses, whichever bit is flipped", {
    timeout: 1_200_000,
  }, async () => {
    const pages = pagesOf(closed.database);
    expect([...pages.keys()].sort()).toEqual([
      "freelist leaf",
      "freelist trunk",
      "header",
      "internal of index",
      "internal of table",
      "leaf of index",
      "leaf of schema",
      "leaf of table",
      "overflow",
    ]);
    let refused = 0;
    for (const [name, page] of pages) {
      // In the header of the page, and anywhere in it.
      const bytes = [
        ...Array.from({ length: rounds(12, 100) }, (_, i) => i),
        ...Array.from({ length: rounds(8, 200) }, () => Math.floor(Math.random() * pageBytes)),
      ];
      for (const byte of bytes) {
        const bit = (page + byte) * 8 + Math.floor(Math.random() * 8);
        const found = await usersAfter({ ...closed, database: flip(closed.database, bit) });
        if (found === undefined) refused++;
        else expect(found, `bit ${bit} (${name})`).toBe(users);
      }
    }
    expect(refused).toBeGreaterThan(20);
  });

  it("that was cut off is refused, and never taken for a new one", { timeout: 600_000 }, async () => {
    const { database, log } = closed;
    const step = 512 * rounds(61, 1);
    const used = usedBytesOf(database);
    for (let length = 0; length < database.length; length += step) {
      const found = await usersAfter({ database: database.subarray(0, length), log });
      // Nothing is lost if only the unused end of the last page is missing.
      const isWhole = length >= used && length > database.length - pageBytes;
      if (!isWhole || found !== undefined) expect(found, `${length} bytes`).toBe(isWhole ? users : undefined);
    }
  });

  it("with a flipped bit in its log starts with the commits before it", {
    timeout: 600_000,
  }, async () => {
    expect(await usersAfter(crashed)).toBe(users);
    const frame = pageBytes + 24;
    const inFrame = [0, 4, 8, 16, 24, 24 + 100, frame - 1];
    // After the frames of this log come those from before it restarted.
    const isOfLog = (n: number) =>
      crashed.log.subarray(16, 24).equals(crashed.log.subarray(32 + n * frame + 8, 32 + n * frame + 16));
    let frames = 0;
    while (isOfLog(frames)) frames++;
    const places = [
      ...Array.from({ length: 32 }, (_, i) => i),
      ...[0, Math.floor(frames / 2), frames - 1].flatMap((n) => inFrame.map((at) => 32 + n * frame + at)),
    ];
    for (const byte of places) {
      const found = await usersAfter({ ...crashed, log: flip(crashed.log, byte * 8 + 3) });
      expect(found, `byte ${byte}`).toBeLessThanOrEqual(users);
    }
    const last = await usersAfter({
      ...crashed,
      log: flip(crashed.log, (32 + (frames - 1) * frame + 30) * 8),
    });
    expect(last).toBe(users - 1);
  });

  it("with a log that was cut off starts with the whole commits before that", {
    timeout: 600_000,
  }, async () => {
    const { database, log } = crashed;
    let before = -1;
    const step = 512 * rounds(97, 1);
    for (let length = 0; length <= log.length; length += step) {
      const found = await usersAfter({ database, log: log.subarray(0, length) });
      expect(found, `${length} bytes`).toBeGreaterThanOrEqual(before);
      before = found!;
    }
    expect(before).toBeGreaterThan(users - 20);
  });

  it("with a stale or broken index of its log starts with all commits", async () => {
    const { database, log } = crashed;
    for (const stale of [Buffer.alloc(32_768, 0xa5), Buffer.alloc(32_768), Buffer.alloc(7, 1)]) {
      const path = join(memoryFolder(), "store.db");
      writeFileSync(path, database);
      writeFileSync(`${path}-wal`, log);
      writeFileSync(`${path}-shm`, stale);
      expect(await usersAt(path)).toBe(users);
    }
  });

  it("with the log of another database starts with the commits of one of them or refuses", async () => {
    const found = await usersAfter({ database: closed.database, log: crashed.log });
    expect([undefined, users]).toContain(found);
    expect(await usersAfter({ database: crashed.log, log: crashed.database })).toBeUndefined();
  });

  it("without its log still has all tables, and is never recreated", async () => {
    const { database } = crashed;
    const path = join(memoryFolder(), "store.db");
    writeFileSync(path, database);
    await using store = openStore(`sqlite:${path}`);
    expect(await store.migrate()).toEqual([]);
    rmSync(path);
    expect(() => openStore(`sqlite:${path}`)).toThrow(/-wal exists but/);
  });
});

describe("F06 countersign", () => {
  it("exits with 65 on a damaged database, and doctor reports the problem", async () => {
    const dataDir = join(memoryFolder(), "data");
    const settings = loadSettings(dataDir);
    expect((await runCommand(["migrate"], settings)).code).toBe(0);
    expect(await runCommand(["doctor", "database"], settings)).toMatchObject({
      code: 0,
      stdout: "the database is whole\n",
    });
    const path = databaseOf(dataDir);
    const whole = readFileSync(path);
    for (const damage of [() => truncateSync(path, 5_000), () => truncateSync(path, 0)]) {
      damage();
      for (const command of [["dev"], ["doctor", "database"]]) {
        const { code, stderr } = await runCommand(command, settings);
        expect({ command, code }).toEqual({ command, code: 65 });
        expect(stderr).toMatch(/[Rr]estore a backup|was left as it is/);
      }
    }
    writeFileSync(path, whole);
    expect((await runCommand(["migrate"], settings)).code).toBe(0);
  });

  it("that finds damage while it runs exits with 70 and tells callers no details", async () => {
    const dataDir = join(memoryFolder(), "data");
    const token = await adminToken(dataDir);
    const settings = loadSettings(dataDir);
    const first = await startCommand(["dev"], { ...settings, COUNTERSIGN_LOG_LEVEL: "info" });
    const call = callerOf(first.origin, token);
    expect((await call("GET", "/users/demo-user")).status).toBe(200);
    const path = databaseOf(dataDir);
    // Moves the log into the database, so that the server has to read the damaged pages from there.
    const database = new Database(path);
    database.pragma("wal_checkpoint(TRUNCATE)");
    const pages = database.prepare(
      "select pageno from dbstat where name in ('users', 'sqlite_autoindex_users_1')",
    );
    const numbers = pages.pluck().all() as number[];
    database.exec("create table t (x)");
    database.exec("drop table t");
    database.pragma("wal_checkpoint(TRUNCATE)");
    const bytes = readFileSync(path);
    for (const number of numbers) bytes.fill(0xa5, (number - 1) * pageBytes, number * pageBytes);
    writeFileSync(path, bytes);
    const reply = await call("GET", "/users/demo-user");
    database.close();
    expect(reply.status).toBe(503);
    expect(reply.body.message).not.toMatch(/sqlite|malformed|damaged|page/i);
    expect(await first.finished()).toMatchObject({
      code: 70,
      stderr: expect.stringContaining("SQLITE_CORRUPT"),
    });
  });

  it("whose database is removed while it runs acknowledges no write and exits with 70", async () => {
    const dataDir = join(memoryFolder(), "data");
    const token = await adminToken(dataDir);
    const server = await startCommand(["dev"], { ...loadSettings(dataDir), COUNTERSIGN_LOG_LEVEL: "info" });
    const call = callerOf(server.origin, token);
    copyFileSync(databaseOf(dataDir), `${databaseOf(dataDir)}.mine`);
    rmSync(databaseOf(dataDir));
    const lost = await call("POST", "/users", { userId: "u", organization: { orgId: "o" } });
    expect(lost.status).toBe(503);
    expect(await server.finished()).toMatchObject({
      code: 70,
      stderr: expect.stringContaining("was taken away"),
    });
  });
});
