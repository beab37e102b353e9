import { copyFileSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { sql } from "kysely";
import { describe, expect, it } from "vitest";
import { DatabaseRefused } from "../../../src/db/core/storage-failure.ts";
import { isFailure } from "../../../src/db/storage-errors.ts";
import { openStore } from "../../../src/db/store.ts";
import { adminToken, callerOf, databaseOf, loadSettings } from "../../support/db/storage-load.ts";
import { temporaryFolder } from "../../support/folder.ts";
import { runCommand, startCommand } from "../../support/process/process.ts";
import { rounds } from "../../support/soak.ts";

const pageBytes = 4096;
const users = 400;

/** Names of users, in the order in which they were committed. */
const nameOf = (i: number) => `user-${String(i).padStart(5, "0")}`;

/** What a store holds after a crash: the files that were left behind. */
interface Image {
  readonly database: Buffer;
  readonly log: Buffer;
}

/** Users, one a commit, of whom every tenth has a name that takes pages of its own; and pages that were used and are free. */
async function makeImage({ isClosed }: { isClosed: boolean }): Promise<Image> {
  const path = join(temporaryFolder(), "store.db");
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

/** What a start makes of the files: how many users there are, or undefined if it refuses, which it may. */
async function usersAfter({ database, log }: Image): Promise<number | undefined> {
  const path = join(folder(), "store.db");
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

let scratch: string | undefined;
function folder(): string {
  if (scratch === undefined || !existsSync(scratch)) scratch = temporaryFolder();
  return scratch;
}

function flip(bytes: Buffer, bit: number): Buffer {
  const flipped = Buffer.from(bytes);
  flipped[bit >> 3]! ^= 1 << (bit & 7);
  return flipped;
}

/** The first page of each class, by the number of its first byte. */
function pagesOf(database: Buffer): Map<string, number> {
  const path = join(folder(), "pages.db");
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

/** Up to where pages hold something: those behind are free. */
function usedBytesOf(database: Buffer): number {
  const path = join(folder(), "used.db");
  writeFileSync(path, database);
  const open = new Database(path);
  const last = open.prepare("select max(pageno) from dbstat").pluck().get() as number;
  open.close();
  return last * pageBytes;
}

describe("F06 a damaged database", () => {
  it("starts with what was committed, or refuses, whichever bit of whichever page is wrong", {
    timeout: 1_200_000,
  }, async () => {
    const image = await makeImage({ isClosed: true });
    const pages = pagesOf(image.database);
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
      // Where the page says what it is, and anywhere in it.
      const bytes = [
        ...Array.from({ length: rounds(12, 100) }, (_, i) => i),
        ...Array.from({ length: rounds(8, 200) }, () => Math.floor(Math.random() * pageBytes)),
      ];
      for (const byte of bytes) {
        const bit = (page + byte) * 8 + Math.floor(Math.random() * 8);
        const found = await usersAfter({ ...image, database: flip(image.database, bit) });
        if (found === undefined) refused++;
        else expect(found, `bit ${bit} (${name})`).toBe(users);
      }
    }
    expect(refused).toBeGreaterThan(20);
  });

  it("that was cut off is refused, and never taken for a new one", { timeout: 600_000 }, async () => {
    const { database, log } = await makeImage({ isClosed: true });
    const step = 512 * rounds(61, 1);
    const used = usedBytesOf(database);
    for (let length = 0; length < database.length; length += step) {
      const found = await usersAfter({ database: database.subarray(0, length), log });
      // Without the end of the last page, and nothing stands there, nothing is lost.
      const isWhole = length >= used && length > database.length - pageBytes;
      if (!isWhole || found !== undefined) expect(found, `${length} bytes`).toBe(isWhole ? users : undefined);
    }
  });

  it("whose log is wrong in a bit starts with what was committed before it", {
    timeout: 600_000,
  }, async () => {
    const image = await makeImage({ isClosed: false });
    expect(await usersAfter(image)).toBe(users);
    const frame = pageBytes + 24;
    const inFrame = [0, 4, 8, 16, 24, 24 + 100, frame - 1];
    // Behind them are those of the log as it was before it began anew.
    const isOfLog = (n: number) =>
      image.log.subarray(16, 24).equals(image.log.subarray(32 + n * frame + 8, 32 + n * frame + 16));
    let frames = 0;
    while (isOfLog(frames)) frames++;
    const places = [
      ...Array.from({ length: 32 }, (_, i) => i),
      ...[0, Math.floor(frames / 2), frames - 1].flatMap((n) => inFrame.map((at) => 32 + n * frame + at)),
    ];
    for (const byte of places) {
      const found = await usersAfter({ ...image, log: flip(image.log, byte * 8 + 3) });
      expect(found, `byte ${byte}`).toBeLessThanOrEqual(users);
    }
    const last = await usersAfter({ ...image, log: flip(image.log, (32 + (frames - 1) * frame + 30) * 8) });
    expect(last).toBe(users - 1);
  });

  it("whose log was cut off starts with what was committed before that, a whole number of writes", {
    timeout: 600_000,
  }, async () => {
    const { database, log } = await makeImage({ isClosed: false });
    let before = -1;
    const step = 512 * rounds(97, 1);
    for (let length = 0; length <= log.length; length += step) {
      const found = await usersAfter({ database, log: log.subarray(0, length) });
      expect(found, `${length} bytes`).toBeGreaterThanOrEqual(before);
      before = found!;
    }
    expect(before).toBeGreaterThan(users - 20);
  });

  it("with the index of another log beside it, or with garbage, starts with all that was committed", async () => {
    const { database, log } = await makeImage({ isClosed: false });
    for (const stale of [Buffer.alloc(32_768, 0xa5), Buffer.alloc(32_768), Buffer.alloc(7, 1)]) {
      const path = join(temporaryFolder(), "store.db");
      writeFileSync(path, database);
      writeFileSync(`${path}-wal`, log);
      writeFileSync(`${path}-shm`, stale);
      expect(await usersAt(path)).toBe(users);
    }
  });

  it("with the log of another database starts with what was committed in one of them, or refuses", async () => {
    const crashed = await makeImage({ isClosed: false });
    const closed = await makeImage({ isClosed: true });
    const found = await usersAfter({ database: closed.database, log: crashed.log });
    expect([undefined, users]).toContain(found);
    expect(await usersAfter({ database: crashed.log, log: crashed.database })).toBeUndefined();
  });

  it("without its log has all tables still, and is never made anew", async () => {
    const { database } = await makeImage({ isClosed: false });
    const path = join(temporaryFolder(), "store.db");
    writeFileSync(path, database);
    await using store = openStore(`sqlite:${path}`);
    expect(await store.migrate()).toEqual([]);
    rmSync(path);
    expect(() => openStore(`sqlite:${path}`)).toThrow(/-wal is there but/);
  });
});

describe("F06 countersign", () => {
  it("refuses to start on a damaged database with 65, and doctor tells what is wrong", async () => {
    const dataDir = join(temporaryFolder(), "data");
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

  it("that meets damage while it runs tells no details to callers, and ends with 70", async () => {
    const dataDir = join(temporaryFolder(), "data");
    const token = await adminToken(dataDir);
    const settings = loadSettings(dataDir);
    const first = await startCommand(["dev"], { ...settings, COUNTERSIGN_LOG_LEVEL: "info" });
    const call = callerOf(first.origin, token);
    expect((await call("GET", "/users/demo-user")).status).toBe(200);
    const path = databaseOf(dataDir);
    // Behind its back, as a disk might do it; so that it has to read the pages again.
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

  it("whose database is taken away while it runs acknowledges nothing more, and ends with 70", async () => {
    const dataDir = join(temporaryFolder(), "data");
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
