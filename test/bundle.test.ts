import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { SourceMap } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { temporaryFolder } from "./support/folder.ts";

const sh = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));

/** What is not in the bundle. */
const external = ["better-sqlite3", "pg", "swagger-ui-dist", "standardwebhooks"];

it("what npm packs runs with no other packages than those that are not in it", async () => {
  const folder = temporaryFolder();
  const { stdout } = await sh("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", folder], {
    cwd: root,
  });
  const [{ filename, files }] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }];
  expect(files.map(({ path }) => path).filter((path) => !path.startsWith("dist/src/main"))).toEqual([
    "LICENSE",
    "README.md",
    "dist/THIRD_PARTY_NOTICES.txt",
    "package.json",
  ]);
  await sh("tar", ["-xzf", filename], { cwd: folder });
  const modules = join(folder, "package/node_modules");
  mkdirSync(modules);
  for (const name of external) symlinkSync(join(root, "node_modules", name), join(modules, name));
  const main = join(folder, "package/dist/src/main.js");
  const data = { COUNTERSIGN_DATA_DIR: join(folder, "data") };
  const options = { cwd: folder, env: { PATH: process.env.PATH, ...data } };
  expect((await sh(process.execPath, [main, "migrate"], options)).stdout).toMatch(/^ran /);
});

const built = join(root, "dist/src");
const read = (name: string) => readFileSync(join(built, name), "utf8");

it("its source map leads to the sources", () => {
  const chunk = readdirSync(built).find(
    (name) => /^main.*\.js$/.test(name) && read(name).includes("are not a certificate and its key"),
  );
  const line = read(chunk!)
    .split("\n")
    .findIndex((line) => line.includes("are not a certificate and its key"));
  const entry = new SourceMap(JSON.parse(read(`${chunk}.map`))).findEntry(line, 20);
  if (!("originalSource" in entry)) throw new Error("no source is known");
  const source = readFileSync(join(built, entry.originalSource), "utf8").split("\n");
  expect(source[entry.originalLine]).toContain("are not a certificate and its key");
});

it("hands on the licences of all packages that are in it", () => {
  const code = readdirSync(built)
    .filter((name) => /^main.*\.js$/.test(name))
    .map(read)
    .join();
  // The bundler names each file that it takes.
  const files = [...code.matchAll(/^(?: {2})?\/\/ (?:\S*\/)?node_modules\/((?:@[^/]+\/)?[^/]+)\/\S+$/gm)];
  const packages = new Set(files.map(([, name]) => name));
  expect(packages).toContain("@bufbuild/protobuf");
  const notices = readFileSync(join(root, "dist/THIRD_PARTY_NOTICES.txt"), "utf8");
  const told = notices.split(`\n${"-".repeat(80)}\n\n`).map((notice) => notice.split(" ", 1)[0]);
  expect([...packages].filter((name) => !told.includes(name))).toEqual([]);
  for (const name of external) expect(packages).not.toContain(name);
});
