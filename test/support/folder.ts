import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** Registers a cleanup, such as vitest's onTestFinished. */
export type OnEnd = (end: () => void | Promise<void>) => void;

/** Creates a folder that is removed at the end of the test. */
export function temporaryFolder(onEnd: OnEnd = onTestFinished): string {
  const folder = mkdtempSync(join(tmpdir(), "countersign-test-"));
  onEnd(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
