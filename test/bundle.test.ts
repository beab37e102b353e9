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

/** The packages that are not in the bundle. */
const external = ["better-sqlite3", "pg", "swagger-ui-dist", "standardwebhooks"];

it("the npm package runs with only the external packages installed", async () => {
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

it("the source map points to the sources", () => {
  const chunk = readdirSync(built).find(
    (name) => /^main.*\.js$/.test(name) && read(name).includes("the audience must not be empty"),
  );
  const line = read(chunk!)
    .split("\n")
    .findIndex((line) => line.includes("the audience must not be empty"));
  const entry = new SourceMap(JSON.parse(read(`${chunk}.map`))).findEntry(line, 20);
  if (!("originalSource" in entry)) throw new Error("the source map has no entry");
  const source = readFileSync(join(built, entry.originalSource), "utf8").split("\n");
  expect(source[entry.originalLine]).toContain("the audience must not be empty");
});

it("the package contains the licenses of all bundled packages", () => {
  const code = readdirSync(built)
    .filter((name) => /^main.*\.js$/.test(name))
    .map(read)
    .join();
  // The bundler writes a comment with the name of each file.
  const files = [...code.matchAll(/^(?: {2})?\/\/ (?:\S*\/)?node_modules\/((?:@[^/]+\/)?[^/]+)\/\S+$/gm)];
  const packages = new Set(files.map(([, name]) => name));
  expect(packages).toContain("@bufbuild/protobuf");
  const notices = readFileSync(join(root, "dist/THIRD_PARTY_NOTICES.txt"), "utf8");
  const listed = notices.split(`\n${"-".repeat(80)}\n\n`).map((notice) => notice.split(" ", 1)[0]);
  expect([...packages].filter((name) => !listed.includes(name))).toEqual([]);
  for (const name of external) expect(packages).not.toContain(name);
});
