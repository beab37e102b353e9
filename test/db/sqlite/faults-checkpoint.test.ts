import { spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import Database from "better-sqlite3";
import { describe, expect, it, onTestFinished } from "vitest";
import { FaultyDisk, hasFaultyDisk, needsCompiler } from "../../support/db/faulty-disk.ts";
import { memoryFolder } from "../../support/db/memory-folder.ts";
import { temporaryFolder } from "../../support/folder.ts";
import { rounds } from "../../support/soak.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const users = 100;

/** Writes 50 KB at a time to its users without end, with the built program. Prints the number of each committed write. */
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

/** Kills the program some time after that many writes, and returns the last printed number of each user. */
async function writeUntilKilled(path: string, writes: number, environment: Record<string, string> = {}) {
  const child = spawn(process.execPath, ["--input-type=module", "-e", program(path)], {
    cwd: root,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    output += text;
  });
  const closed = once(child, "close");
  let walBytesMax = 0;
  while (output.split("\n").length < writes && child.exitCode === null) {
    await sleep(5);
    walBytesMax = Math.max(walBytesMax, statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0);
  }
  await sleep(Math.random() * 300);
  child.kill("SIGKILL");
  const [, signal] = await closed;
  expect(signal).toBe("SIGKILL");
  const last = new Map<string, number>();
  for (const line of output.split("\n").slice(0, -1)) {
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

/** 13 pages each, so the log is moved and restarted twice. */
const writes = 2_500;
const mebibyte = 2 ** 20;

describe("while the log is moved into the database", () => {
  it("F01 kill -9 loses no committed write", {
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
    `F02 a loss of power loses no committed write (${needsCompiler}), torn: $torn`,
    { timeout: 3_600_000 },
    async ({ torn }) => {
      for (let round = 0; round < rounds(2, 25); round++) {
        const path = join(memoryFolder(), "countersign.db");
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
