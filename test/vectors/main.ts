// `npm run vectors -- FILE...`: runs files of vectors through the wire, on a real listener.
import { resolve } from "node:path";
import { readVectors } from "./format.ts";
import { messagesFor } from "./messages.ts";
import { casesOf } from "./run.ts";

const root = process.cwd();
// npm changes to the root of the package; the paths are those of the caller.
const paths = process.argv.slice(2).map((path) => resolve(process.env.INIT_CWD ?? root, path));

/** Prints each failure. Returns whether all that must and should pass did. */
async function run(): Promise<boolean> {
  const counts = { passed: 0, failed: 0, optionalPassed: 0, optionalFailed: 0 };
  for (const path of paths) {
    await using all = casesOf(readVectors(path), messagesFor(path, root));
    for (const { id, level, name, run } of all.cases) {
      const problems = await run().catch((error: Error) => [`it cannot be run: ${error.message}`]);
      const isOptional = level === "optional";
      if (problems.length === 0) counts[isOptional ? "optionalPassed" : "passed"]++;
      else {
        counts[isOptional ? "optionalFailed" : "failed"]++;
        console.log(`${id} (${level}) ${name}\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
      }
    }
  }
  console.log(`optional: ${counts.optionalPassed} passed, ${counts.optionalFailed} failed`);
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  return counts.failed === 0;
}

try {
  if (paths.length === 0) throw new Error("usage: npm run vectors -- FILE...");
  process.exitCode = (await run()) ? 0 : 1;
} catch (error) {
  console.error(`vectors: ${(error as Error).message}`);
  process.exitCode = 1;
}
