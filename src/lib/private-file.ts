import { randomUUID } from "node:crypto";
import { chmodSync, linkSync, mkdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Creates a folder that only its owner can enter, unless it exists. */
export function makePrivateFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
}

/**
 * Reads a file of secrets. Creates it, and its folder, if it does not exist. Processes that create it at the same time
 * all read the same content.
 *
 * @param make returns the content of a new file.
 * @throws if the file is readable by anyone but its owner.
 */
export function readOrMakePrivateFile(path: string, make: () => string): string {
  makePrivateFolder(dirname(path));
  if (!isThere(path)) {
    // Linked into place: other processes never read a partial file, and an existing one is never replaced.
    const draft = `${path}.${randomUUID()}.tmp`;
    writeFileSync(draft, make(), { mode: 0o600, flag: "wx", flush: true });
    try {
      chmodSync(draft, 0o600);
      linkSync(draft, path);
    } catch (error) {
      if (!isCode(error, "EEXIST")) throw error;
    } finally {
      unlinkSync(draft);
    }
  }
  if (process.platform !== "win32" && (statSync(path).mode & 0o077) !== 0) {
    throw new Error(`${path} holds secrets and must be accessible to its owner only: run chmod 600 on it`);
  }
  return readFileSync(path, "utf8");
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
