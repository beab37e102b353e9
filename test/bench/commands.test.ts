import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string) => readFileSync(`${root}/${path}`, "utf8");
const scriptsOf = (path: string): Record<string, string> => JSON.parse(read(path)).scripts;

const pages = [
  "README.md",
  "CHANGELOG.md",
  "bench/README.md",
  ...readdirSync(`${root}/docs`, { encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

it("each script of the bench runs a file that exists", () => {
  const files = Object.values(scriptsOf("bench/package.json")).flatMap(
    (script) => /bench\/dist\/(bench\/\w+\/main)\.js$/.exec(script)?.[1] ?? [],
  );
  expect(files).toHaveLength(7);
  expect(files.filter((file) => !existsSync(`${root}/${file}.ts`))).toEqual([]);
});

it.each(pages)("the npm scripts that %s names exist", (page) => {
  const named = [...read(page).matchAll(/npm run ([\w:]+)( -w bench)?/g)];
  const missing = named.filter(
    ([, script = "", inBench]) => !(script in scriptsOf(inBench ? "bench/package.json" : "package.json")),
  );
  expect(missing.map(([command]) => command)).toEqual([]);
});
