import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { OnEnd } from "../folder.ts";

const sharedMemory = "/dev/shm";
const bytesNeeded = 2 ** 31;

/** The parent of folders for tests that are not about the disk: in memory if there is room, where files are created much faster. */
export const memoryRoot = hasRoom() ? sharedMemory : tmpdir();

/** A new folder under `memoryRoot`, removed when the test ends. */
export function memoryFolder(onEnd: OnEnd = onTestFinished): string {
  const folder = mkdtempSync(join(memoryRoot, "countersign-test-"));
  onEnd(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function hasRoom(): boolean {
  try {
    const { bavail, bsize } = statfsSync(sharedMemory);
    return bavail * bsize >= bytesNeeded;
  } catch {
    return false;
  }
}
