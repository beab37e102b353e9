// Holds proto/ against that of the branch main (buf breaking), where there is one to be found.
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const main = ["origin/main", "main"].find(
  (branch) => spawnSync("git", ["cat-file", "-e", `${branch}:proto`], { stdio: "ignore" }).status === 0,
);
if (main === undefined) {
  console.log("buf breaking: there is no branch main with a proto/ to compare with");
} else {
  const before = mkdtempSync(join(tmpdir(), "countersign-main-"));
  try {
    const archive = execFileSync("git", ["archive", main, "proto", "buf.yaml"], { maxBuffer: 64 << 20 });
    execFileSync("tar", ["-x", "-C", before], { input: archive });
    // What comes from npm is not in git; it is the same on both sides.
    for (const folder of [
      "google-proto-files/google/api",
      "google-proto-files/google/rpc",
      "grpc-health-check/proto",
      "@grpc/reflection/build/proto",
    ]) {
      const path = join("node_modules", folder);
      cpSync(path, join(before, path), { recursive: true });
    }
    execFileSync("npx", ["--no-install", "buf", "breaking", "--against", before], { stdio: "inherit" });
  } finally {
    rmSync(before, { recursive: true });
  }
}
