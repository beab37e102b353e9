import { resolve } from "node:path";
import { readVectors } from "./format.ts";
import { messagesFor } from "./messages.ts";
import { casesOf } from "./run.ts";

export interface CliOptions {
  /** The root of the repository. */
  readonly root: string;
  /** The folder that relative paths start from. */
  readonly cwd: string;
  log(line: string): void;
  error(line: string): void;
}

/** Runs vector files, and prints failures. Returns the exit code: 0 if all vectors of "must" and "should" passed. */
export async function runFiles(paths: readonly string[], options: CliOptions): Promise<number> {
  const { root, cwd, log, error } = options;
  try {
    if (paths.length === 0) throw new Error("usage: npm run vectors -- FILE...");
    const counts = { passed: 0, failed: 0, optionalPassed: 0, optionalFailed: 0 };
    for (const path of paths.map((path) => resolve(cwd, path))) {
      await using all = casesOf(readVectors(path), messagesFor(path, root));
      for (const { id, level, name, run } of all.cases) {
        const problems = await run().catch((error: Error) => [`it can't be run: ${error.message}`]);
        const isOptional = level === "optional";
        if (problems.length === 0) counts[isOptional ? "optionalPassed" : "passed"]++;
        else {
          counts[isOptional ? "optionalFailed" : "failed"]++;
          log(`${id} (${level}) ${name}\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
        }
      }
    }
    log(`optional: ${counts.optionalPassed} passed, ${counts.optionalFailed} failed`);
    log(`${counts.passed} passed, ${counts.failed} failed`);
    return counts.failed === 0 ? 0 : 1;
  } catch (thrown) {
    error(`vectors: ${(thrown as Error).message}`);
    return 1;
  }
}
