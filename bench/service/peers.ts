import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { repositoryFile } from "../lib/paths.ts";

const folder = repositoryFile("bench/peers");

/**
 * Installs the other services of the comparison, unless the packages of their lock file are installed already.
 *
 * @throws if that fails.
 */
export function installPeers(): void {
  const installed = join(folder, "node_modules/.package-lock.json");
  const lock = join(folder, "package-lock.json");
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  const args = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
  const { status } = spawnSync("npm", args, { cwd: folder, stdio: "inherit" });
  if (status !== 0) throw new Error(`npm ci failed in ${folder}: the other services are not installed`);
}
