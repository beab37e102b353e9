import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** Where to say what is done at the end: of the test, unless something else is meant. */
export type OnEnd = (end: () => void | Promise<void>) => void;

/** A new folder that is removed when the test is over. */
export function temporaryFolder(onEnd: OnEnd = onTestFinished): string {
  const folder = mkdtempSync(join(tmpdir(), "countersign-test-"));
  onEnd(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
