import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import type { Settings } from "../../src/config/setting.ts";
import { allSettings, subjects } from "../../src/config/settings.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const page = readFileSync(`${root}docs/configuration.md`, "utf8");
const settings: Settings = allSettings;

describe("docs/configuration.md", () => {
  it("is up to date", async () => {
    const script = `${root}scripts/write-configuration-page.mjs`;
    const { stderr } = await promisify(execFile)(process.execPath, [script, "--check"]);
    expect(stderr).toBe("");
  });

  it("has a row for each setting", () => {
    const rows = page.match(/^\| `COUNTERSIGN_\w+` +\|.*$/gm) ?? [];
    const documented = rows.map((row) => {
      const [, name, , , needed, secret] = row.split(/(?<!\\)\|/).map((cell) => cell.trim());
      return [name, needed === "yes", secret === "yes"];
    });
    const declared = Object.entries(settings).map(([name, { isNeeded, isSecret }]) => [
      `\`${name}\``,
      Boolean(isNeeded),
      Boolean(isSecret),
    ]);
    expect(documented).toEqual(declared);
  });
});

describe("the settings", () => {
  it("all belong to one subject", () => {
    const names = Object.values(subjects).flatMap((group) => Object.keys(group));
    expect(names).toEqual(Object.keys(settings));
  });

  it("all have a help line without a full stop", () => {
    for (const { help } of Object.values(settings)) expect(help).toMatch(/^[A-Z`].{5,}[^.]$/);
  });
});
