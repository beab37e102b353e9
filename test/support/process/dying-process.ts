import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/**
 * Runs the migrations of the built program in a process that kills itself after `statements` statements of the
 * transaction, including the commit.
 *
 * @returns the signal that ended it, or null if there were fewer statements.
 */
export async function migrateAndDie(path: string, statements: number): Promise<NodeJS.Signals | null> {
  const script = `
    import Database from "better-sqlite3";
    import { openStore } from "./dist/src/db/store.js";
    const { prepare } = Database.prototype;
    let isBegun = false;
    let count = 0;
    Database.prototype.prepare = function (sql) {
      if (isBegun && count++ === ${statements}) process.kill(process.pid, "SIGKILL");
      isBegun ||= sql === "begin immediate";
      return prepare.call(this, sql);
    };
    const store = openStore(${JSON.stringify(`sqlite:${path}`)});
    await store.migrate();`;
  const args = ["--input-type=module", "-e", script];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  const [, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  return signal;
}
