// Fails if gen/ is not what `npm run generate` makes of proto/.
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const committed = mkdtempSync(join(tmpdir(), "countersign-gen-"));
try {
  cpSync("gen", committed, { recursive: true });
  execFileSync("npx", ["--no-install", "buf", "generate"], { stdio: "inherit" });
  const before = filesOf(committed);
  const after = filesOf("gen");
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  const different = names.filter((name) => before.get(name) !== after.get(name));
  if (different.length > 0) {
    console.error(
      `gen/ is not up to date; it was generated anew:\n${different.map((n) => `  ${n}`).join("\n")}`,
    );
    process.exitCode = 1;
  }
} finally {
  rmSync(committed, { recursive: true });
}

function filesOf(folder) {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return new Map(names.map((name) => [name.slice(folder.length + 1), readFileSync(name, "utf8")]));
}
