import { randomUUID } from "node:crypto";
import { chmodSync, linkSync, mkdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Makes a folder that its owner alone can enter, if it is not there. */
export function makePrivateFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
}

/**
 * Reads a file of secrets, which is made first if it is not there. Of two processes that make it at once, one wins
 * and both read the same.
 *
 * @param path of the file; its folder is made too.
 * @param make what to write into a new one.
 * @throws if anyone but the owner can read the file.
 */
export function readOrMakePrivateFile(path: string, make: () => string): string {
  makePrivateFolder(dirname(path));
  if (!isThere(path)) {
    // Written beside and linked into place: a reader never sees half of it, and an existing file is never replaced.
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
    throw new Error(`${path} holds secrets and can be read by others than its owner: run chmod 600 on it`);
  }
  return readFileSync(path, "utf8");
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
