import { spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import Database from "better-sqlite3";
import { describe, expect, it, onTestFinished } from "vitest";
import { FaultyDisk, hasFaultyDisk, needsCompiler } from "../../support/db/faulty-disk.ts";
import { temporaryFolder } from "../../support/folder.ts";
import { rounds } from "../../support/soak.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const users = 100;

/** Writes to its users without end, 50 KB each time, with the built program. Tells of each write that stands, by its number. */
const program = (path: string) => `
  import { writeSync } from "node:fs";
  import { sql } from "kysely";
  import { openStore } from "./dist/src/db/store.js";
  const store = openStore(${JSON.stringify(`sqlite:${path}`)}, { onFailure: (error) => { throw error; } });
  await store.migrate();
  const name = (number) => String(number).padEnd(50, "x").repeat(1_000);
  const put = (user, number) => store.write((trx) => sql\`
    insert into users (user_id, org_id, state, display_name, sequence, create_time, change_time)
    values (\${user}, 'o', 'active', \${name(number)}, \${number}, 0, 0)
    on conflict (user_id) do update set display_name = excluded.display_name, sequence = excluded.sequence\`.execute(trx));
  await Promise.all(Array.from({ length: ${users} }, async (_, user) => {
    for (let number = 1; ; number++) {
      await put("u" + user, number);
      writeSync(1, "u" + user + " " + number + "\\n");
    }
  }));
`;

/** The last number of each user that was told, when the process is killed some time after so many writes. */
async function writeUntilKilled(path: string, writes: number, environment: Record<string, string> = {}) {
  const child = spawn(process.execPath, ["--input-type=module", "-e", program(path)], {
    cwd: root,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let told = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    told += text;
  });
  const closed = once(child, "close");
  let walBytesMax = 0;
  while (told.split("\n").length < writes && child.exitCode === null) {
    await sleep(5);
    walBytesMax = Math.max(walBytesMax, statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0);
  }
  await sleep(Math.random() * 300);
  child.kill("SIGKILL");
  const [, signal] = await closed;
  expect(signal).toBe("SIGKILL");
  const last = new Map<string, number>();
  for (const line of told.split("\n").slice(0, -1)) {
    const [user = "", number] = line.split(" ");
    last.set(user, Number(number));
  }
  return { last, walBytesMax };
}

function check(path: string, last: ReadonlyMap<string, number>): void {
  const database = new Database(path);
  try {
    expect(database.pragma("integrity_check", { simple: true })).toBe("ok");
    const rows = database.prepare("select user_id, sequence from users").raw().all() as [string, number][];
    const found = new Map(rows);
    for (const [user, number] of last) expect(found.get(user)).toBeGreaterThanOrEqual(number);
  } finally {
    database.close();
  }
}

/** 13 pages each: the log is full, and has been moved, more than once. */
const writes = 2_500;
const mebibyte = 2 ** 20;

describe("while the log is moved into the database", () => {
  it("F01 kill -9 loses nothing that was told, and leaves nothing half done", {
    timeout: 3_600_000,
  }, async () => {
    const path = join(temporaryFolder(), "countersign.db");
    for (let round = 0; round < rounds(3, 50); round++) {
      const { last, walBytesMax } = await writeUntilKilled(path, writes);
      expect(walBytesMax).toBeGreaterThan(46 * mebibyte);
      expect(last.size).toBe(users);
      check(path, last);
      new Database(path).exec("update users set sequence = 0").close();
    }
  });

  it.skipIf(!hasFaultyDisk).each([{ torn: false }, { torn: true }])(
    `F02 a loss of power neither (${needsCompiler}): $torn`,
    { timeout: 3_600_000 },
    async ({ torn }) => {
      for (let round = 0; round < rounds(2, 25); round++) {
        const path = join(temporaryFolder(), "countersign.db");
        const disk = new FaultyDisk();
        disk.rememberSynced({ torn });
        const { last } = await writeUntilKilled(path, writes, disk.environment);
        disk.losePower([path, `${path}-wal`]);
        expect(last.size).toBe(users);
        check(path, last);
      }
    },
  );
});
